//! What `--json` prints: programs read it, so a change here is a change of the interface.

mod changes;
mod machine;
mod records;
mod state;

use serde::Serialize;

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn lines<T: Serialize>(values: &[T]) -> String {
    values.iter().map(|value| serde_json::to_string(value).unwrap_or_default() + "\n").collect()
}
