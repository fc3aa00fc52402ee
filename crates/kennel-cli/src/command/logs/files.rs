//! Logs where no daemon runs: read from their files, with nothing started.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use kennel_client::CallError;
use kennel_config::LoadOptions;
use kennel_logs::told::{Query, Reader};
use kennel_logs::{Beside, Matcher};
use kennel_sys::home::Home;
use kennel_wire::{Code, Problem};

use super::Form;
use crate::args::Logs;
use crate::context::{self, Context};
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::names::{self, service_of};

/// Lines that are shown at a time.
const BATCH: usize = 512;

pub(super) fn logs(context: &mut Context, home: &Home, args: Logs) -> Result<u8, Failure> {
    let dir = home.logs_dir();
    if !dir.is_dir() {
        return Err(Failure::NoDaemon);
    }
    let (written, declared) = (kennel_logs::names(&dir), declared(context));
    let chosen = chosen(&args.names, &written, &declared).map_err(CallError::from)?;
    let shown = if args.names.is_empty() { &written } else { &chosen };
    let color = |name: &String| (name.clone(), declared.get(service_of(name)).cloned().flatten());
    let form = Form::new(context, &args, &shown.iter().map(color).collect::<Vec<_>>());
    let mut reader = Reader::new(&dir, &query(&args, chosen)?);
    loop {
        let batch = reader.batch(BATCH);
        form.show(&mut context.screen, &batch.lines)?;
        if !batch.more {
            break;
        }
    }
    if args.follow {
        context.screen.remark("nothing runs here, so no more lines will follow\n");
    }
    Ok(exit_codes::OK)
}

fn query(args: &Logs, names: Vec<String>) -> Result<Query, Failure> {
    let now = Timestamp::now();
    let matcher = |pattern: &String| {
        let refused = |error| Problem::new(Code::BadRequest, format!("`grep`: {error}"));
        Matcher::new(pattern, args.invert).map_err(refused).map_err(CallError::from)
    };
    Ok(Query {
        names,
        tail: args.tail.map(|tail| usize::try_from(tail).unwrap_or(usize::MAX)),
        since: args.since.map(|since| since.timestamp(now)),
        until: args.until.map(|until| until.timestamp(now)),
        stream: args.stream.map(Into::into),
        grep: args.grep.as_ref().map(matcher).transpose()?,
        beside: Beside::Nobody,
    })
}

/// Services of the configuration with their colours; none where it cannot be read, for logs outlive it.
fn declared(context: &Context) -> BTreeMap<String, Option<String>> {
    let environment = context::environment();
    let load = |file: &Path| kennel_config::load(file, &LoadOptions { environment: &environment, profiles: &[] }).ok();
    let project = context.config_file().ok().and_then(|file| load(&file));
    project.into_iter().flat_map(|project| project.services).map(|(name, service)| (name, service.color)).collect()
}

/// The logs of these names: a service stands for all its replicas. One that is declared has none before it writes something.
///
/// # Errors
/// `unknown_service` for a name that nobody has and that nothing was written under.
fn chosen(
    asked: &[String],
    written: &[String],
    declared: &BTreeMap<String, Option<String>>,
) -> Result<Vec<String>, Problem> {
    let services = written.iter().map(|name| service_of(name).to_owned());
    let mut known: Vec<String> = services.chain(declared.keys().cloned()).chain(written.iter().cloned()).collect();
    known.sort();
    known.dedup();
    names::check(asked, &known)?;
    let mut chosen: Vec<String> = Vec::new();
    for name in asked {
        let replicas = written.iter().filter(|one| *one == name || service_of(one) == name);
        let before = chosen.len();
        chosen.extend(replicas.cloned());
        if chosen.len() == before {
            chosen.push(name.clone());
        }
    }
    chosen.sort();
    chosen.dedup();
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use super::*;

    #[test]
    fn a_service_stands_for_its_replicas() {
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let written = of(&["gone", "web", "worker.1", "worker.2"]);
        let declared = BTreeMap::from([("web".to_owned(), None), ("silent".to_owned(), None)]);
        let chosen = |asked: &[&str]| chosen(&of(asked), &written, &declared);
        assert_eq!(chosen(&["worker", "worker.1", "web"]).unwrap(), ["web", "worker.1", "worker.2"]);
        assert_eq!(chosen(&["gone"]).unwrap(), ["gone"]);
        assert_eq!(chosen(&["silent"]).unwrap(), ["silent"]);
        assert_eq!(chosen(&["wbe"]).unwrap_err().hint.as_deref(), Some("did you mean `web`?"));
        assert!(chosen(&["../web"]).is_err());
    }
}
