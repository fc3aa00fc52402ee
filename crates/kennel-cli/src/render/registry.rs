//! The table of `kennel registered`.

use kennel_wire::{Definition, Registry};
use serde_json::Value;

use super::paint::{DIM, Paint};
use super::table::{Cell, Column, layout};

const COLUMNS: [Column; 3] = [
    Column { title: "NAME", right: false, spare: 0 },
    Column { title: "DIRECTORY", right: false, spare: 1 },
    Column { title: "COMMAND", right: false, spare: 2 },
];

/// One line for each service.
pub(crate) fn table(registry: &Registry, width: Option<usize>, paint: Paint) -> String {
    let rows: Vec<Vec<Cell>> = registry.services.iter().map(|(name, definition)| row(name, definition)).collect();
    layout(&COLUMNS, &rows, width, paint)
}

fn row(name: &str, definition: &Definition) -> Vec<Cell> {
    let directory = kennel_config::written_working_dir(definition);
    let command = match definition.get("command") {
        Some(Value::Array(words)) => words.iter().map(word).collect::<Vec<_>>().join(" "),
        Some(other) => word(other),
        None => String::new(),
    };
    vec![Cell::new(name), Cell::styled(directory.unwrap_or_default().to_owned(), DIM), Cell::new(&command)]
}

/// As it will be run: `$$` stands for a dollar.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| text.replace("$$", "$"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use super::*;

    #[test]
    fn one_line_for_each_service() {
        let text = r#"{"services": {
            "web": {"command": ["sh", "-c", "echo $$HOME"], "cwd": "/srv/web"},
            "db": {"command": "postgres -D data", "working_dir": "/srv/db"}
        }}"#;
        let registry: Registry = serde_json::from_str(text).unwrap();
        insta::assert_snapshot!(table(&registry, None, Paint::PLAIN), @r"
        NAME  DIRECTORY  COMMAND
        db    /srv/db    postgres -D data
        web   /srv/web   sh -c echo $HOME
        ");
    }
}
