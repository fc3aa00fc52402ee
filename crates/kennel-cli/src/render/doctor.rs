//! What kennel can promise here.

use std::fmt::Write;

use kennel_wire::DaemonInfo;

use super::paint::{BOLD, GREEN, Paint, YELLOW};

/// A block of lines.
pub(crate) fn block(info: &DaemonInfo, client: &str, layout: &str, paint: Paint) -> String {
    let containment = &info.containment;
    let mut text = String::new();
    let best = containment.because.is_none();
    let mark = if best { paint.paint(GREEN, "✓") } else { paint.paint(YELLOW, "!") };
    let _infallible = writeln!(text, "{mark} containment  {}", paint.paint(BOLD, &containment.backend));
    let _infallible = writeln!(text, "  promise      {}", containment.promise);
    for (index, limit) in containment.limits.iter().enumerate() {
        let title = if index == 0 { "limits" } else { "" };
        let _infallible = writeln!(text, "  {title:<12} {limit}");
    }
    if let Some(because) = &containment.because {
        let _infallible = writeln!(text, "  not better   {because}");
    }
    let _infallible = writeln!(text, "  cgroups      {layout}");
    let _infallible = writeln!(text, "  instance     {}", info.instance);
    let _infallible = writeln!(text, "  daemon       {}, pid {}, keeper {}", info.version, info.pid, info.keeper_pid);
    let _infallible = writeln!(text, "  client       {client}");
    let _infallible = writeln!(text, "  state        {}", info.state_dir.display());
    if info.version != client {
        let hint = "client and daemon differ in version: `kennel down` and `kennel up` bring them together";
        let _infallible = writeln!(text, "{} {hint}", paint.paint(YELLOW, "!"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn what_is_promised_and_what_is_not() {
        insta::assert_snapshot!(block(&samples::info(), "0.1.0", "version 2 at /sys/fs/cgroup", Paint::PLAIN), @r"
        ! containment  reaper
          promise      every descendant is found and ended while its scope's reaper lives
          limits       setuid-root children
                       uninterruptible sleep
          not better   no writable cgroup v2 directory
          cgroups      version 2 at /sys/fs/cgroup
          instance     shop-1234abcd
          daemon       0.1.0, pid 20, keeper 19
          client       0.1.0
          state        /var/state/kennel/shop-1234abcd
        ");
    }
}
