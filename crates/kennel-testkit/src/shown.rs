//! What the kernel shows of a process in `/proc`: rights, limits, priorities.

use std::fmt::Display;

/// The files of one process below `/proc`, read anew for each answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

/// Sets of capabilities, a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// In force.
    pub effective: u64,
    /// What may be made so.
    pub permitted: u64,
    /// What an execution may keep.
    pub inheritable: u64,
    /// What an execution by somebody without rights keeps.
    pub ambient: u64,
    /// What can ever be gained.
    pub bounding: u64,
}

impl Shown {
    /// Of a process.
    pub fn of(pid: impl Display) -> Self {
        Self(format!("/proc/{pid}"))
    }

    /// Of the test itself.
    #[must_use]
    pub fn own() -> Self {
        Self::of("self")
    }

    /// One of its files.
    ///
    /// # Panics
    /// If the process is gone, or not ours to look at.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        let path = format!("{}/{name}", self.0);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A field of `status`, its words parted by one blank.
    ///
    /// # Panics
    /// If the process is gone, or this kernel has no such field.
    #[must_use]
    pub fn status(&self, field: &str) -> String {
        let text = self.file("status");
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        words(value.unwrap_or_else(|| panic!("no {field}: {text}")), usize::MAX)
    }

    /// Soft and hard limit, by the name in `limits`.
    ///
    /// # Panics
    /// If the process is gone, or there is no such limit.
    #[must_use]
    pub fn limit(&self, name: &str) -> String {
        let text = self.file("limits");
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        words(value.unwrap_or_else(|| panic!("no {name}: {text}")), 2)
    }

    /// Its nice value.
    ///
    /// # Panics
    /// If the process is gone.
    #[must_use]
    pub fn nice(&self) -> i32 {
        let stat = self.file("stat");
        let field = stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(16));
        field.and_then(|nice| nice.parse().ok()).unwrap_or_else(|| panic!("no nice value: {stat}"))
    }

    /// What it may do.
    ///
    /// # Panics
    /// If the process is gone.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let set = |field| u64::from_str_radix(&self.status(field), 16).expect("a set is a hexadecimal number");
        Capabilities {
            effective: set("CapEff"),
            permitted: set("CapPrm"),
            inheritable: set("CapInh"),
            ambient: set("CapAmb"),
            bounding: set("CapBnd"),
        }
    }

    /// Its process ids, from the one that we see to the one in its own namespace.
    ///
    /// # Panics
    /// If the process is gone.
    #[must_use]
    pub fn numbers(&self) -> Vec<u32> {
        self.status("NSpid").split(' ').map(|number| number.parse().expect("a process id")).collect()
    }

    /// Its process id in its own namespace.
    ///
    /// # Panics
    /// If the process is gone.
    #[must_use]
    pub fn inner(&self) -> u32 {
        self.numbers().pop().expect("each process has a number")
    }
}

fn words(text: &str, most: usize) -> String {
    text.split_whitespace().take(most).collect::<Vec<_>>().join(" ")
}
