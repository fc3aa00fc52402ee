//! The table of `kennel token list`.

use anstyle::Style;
use kennel_wire::TokenStatus;

use super::paint::{DIM, Paint, RED};
use super::table::{Cell, Column, layout};

const COLUMNS: [Column; 5] = [
    Column { title: "NAME", right: false, spare: 0 },
    Column { title: "ROLE", right: false, spare: 0 },
    Column { title: "FOR", right: false, spare: 1 },
    Column { title: "CREATED", right: false, spare: 0 },
    Column { title: "EXPIRES", right: false, spare: 0 },
];

/// One line for each token.
pub(crate) fn table(tokens: &[TokenStatus], width: Option<usize>, paint: Paint) -> String {
    let rows: Vec<Vec<Cell>> = tokens.iter().map(row).collect();
    layout(&COLUMNS, &rows, width, paint)
}

fn row(token: &TokenStatus) -> Vec<Cell> {
    let day = |time: jiff::Timestamp| time.strftime("%Y-%m-%d %H:%MZ").to_string();
    let owners = token.owners.iter().map(|owner| format!("owner {owner}"));
    let own: Vec<String> = token.services.iter().cloned().chain(owners).collect();
    let own = if own.is_empty() { "all".to_owned() } else { own.join(", ") };
    let (expires, style) = match token.expires_at {
        None => ("never".to_owned(), DIM),
        Some(time) if token.expired => (format!("{}, over", day(time)), RED),
        Some(time) => (day(time), Style::new()),
    };
    vec![
        Cell::new(&token.name),
        Cell::new(token.role.name()),
        Cell::new(&own),
        Cell::styled(day(token.created_at), DIM),
        Cell::styled(expires, style),
    ]
}

#[cfg(test)]
mod tests {
    use kennel_wire::Role;

    use super::*;
    use crate::render::samples;

    #[test]
    fn one_line_for_each_token() {
        let token = |name: &str, role, services: &[&str], owners: &[&str], expires_at, expired| TokenStatus {
            name: name.into(),
            role,
            services: services.iter().map(|&one| one.to_owned()).collect(),
            owners: owners.iter().map(|&one| one.to_owned()).collect(),
            created_at: samples::time(),
            expires_at,
            expired,
        };
        let tokens = [
            token("grafana", Role::Read, &[], &[], None, false),
            token("agents", Role::Admin, &[], &["session-1"], None, false),
            token("ci", Role::Operate, &["web", "worker"], &["job-7"], Some(samples::time()), true),
        ];
        insta::assert_snapshot!(table(&tokens, None, Paint::PLAIN), @r"
        NAME     ROLE     FOR                       CREATED            EXPIRES
        grafana  read     all                       2026-01-02 03:04Z  never
        agents   admin    owner session-1           2026-01-02 03:04Z  never
        ci       operate  web, worker, owner job-7  2026-01-02 03:04Z  2026-01-02 03:04Z, over
        ");
    }
}
