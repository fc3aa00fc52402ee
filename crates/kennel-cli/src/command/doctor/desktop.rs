//! Whether notifications can be shown on the desktop of whoever asks.

use kennel_desktop::{Bus, Failure};
use kennel_wire::{DesktopSupport, Finding};

use crate::context::environment;

/// Asks whoever shows them.
pub(super) async fn support() -> DesktopSupport {
    let environment = environment();
    let bus = Bus::of(|name| environment.get(name).map(String::as_str));
    let asked = match &bus {
        Ok(bus) => kennel_desktop::server(bus).await,
        Err(none) => Err(Failure::NoBus(none.clone())),
    };
    match asked {
        Ok(server) => DesktopSupport { works: true, note: format!("{server} shows notifications") },
        Err(failure) => DesktopSupport { works: false, note: format!("no notification can be shown: {failure}") },
    }
}

/// That somebody asks for what cannot be shown.
pub(super) fn not_shown(is_wanted: bool, support: &DesktopSupport) -> Option<Finding> {
    let text = || format!("`notify: desktop` of the configuration is not met: {}", support.note);
    (is_wanted && !support.works).then(|| super::finding("not_shown", text(), None))
}
