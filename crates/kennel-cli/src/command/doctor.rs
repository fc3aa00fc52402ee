//! `kennel doctor`.

use kennel_client::Daemon;

use super::about::VERSION;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::doctor::block;

pub(super) async fn doctor(context: &mut Context) -> Result<u8, Failure> {
    // The one that runs knows best; without one, a daemon is started that ends by itself afterwards.
    let (_daemon, info) = context.insist(async |daemon: &Daemon| daemon.info().await).await?;
    if context.global.json {
        context.screen.json(&info)?;
    } else {
        let text = block(&info, VERSION, &layout(), context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(exit_codes::OK)
}

/// Which cgroup hierarchies are mounted where.
///
/// Source: `proc_pid_mountinfo(5)`; mount point and file system type are fields 5 and 1 after the separator.
fn layout() -> String {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let of = |kind: &str| {
        let matching = mounts
            .lines()
            .find(|line| line.split_once(" - ").is_some_and(|(_, rest)| rest.split_whitespace().next() == Some(kind)));
        matching.and_then(|line| line.split_whitespace().nth(4)).map(str::to_owned)
    };
    match (of("cgroup2"), of("cgroup")) {
        (Some(v2), None) => format!("version 2 at {v2}"),
        (Some(v2), Some(_)) => format!("version 1, with version 2 beside it at {v2} (hybrid)"),
        (None, Some(_)) => "version 1 alone".to_owned(),
        (None, None) => "none mounted".to_owned(),
    }
}
