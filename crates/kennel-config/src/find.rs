//! Which file it is.

use std::path::{Path, PathBuf};

/// The names a configuration file may have.
pub const FILE_NAMES: [&str; 3] = ["kennel.yaml", "kennel.yml", "kennel.toml"];

/// Why no configuration file was chosen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// Which of them counts is not ours to guess.
    #[error("both `{}` and `{}` are in `{}`; keep one, or name one with `-f`", .names[0], .names[1], directory.display())]
    Two {
        /// Where they are.
        directory: PathBuf,
        /// The first two of them.
        names: [&'static str; 2],
    },
    /// Neither there nor in any directory above.
    #[error("no kennel.yaml, kennel.yml or kennel.toml in `{}` or any directory above it; `kennel init` writes one", start.display())]
    None {
        /// Where the search began.
        start: PathBuf,
    },
}

/// Looks for a configuration file in `start` and upward from it.
///
/// # Errors
/// Two of the three names in one directory, or none up to the root.
pub fn find(start: &Path) -> Result<PathBuf, FindError> {
    let start = std::path::absolute(start).unwrap_or_else(|_| start.to_owned());
    for directory in start.ancestors() {
        let mut names = FILE_NAMES.into_iter().filter(|name| directory.join(name).is_file());
        match (names.next(), names.next()) {
            (Some(first), Some(second)) => {
                return Err(FindError::Two { directory: directory.to_owned(), names: [first, second] });
            }
            (Some(name), None) => return Ok(directory.join(name)),
            (None, _) => {}
        }
    }
    Err(FindError::None { start })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn finds_upward_and_refuses_two() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        let yaml = root.path().join("kennel.yml");
        std::fs::write(&yaml, "").unwrap();
        assert_eq!(find(&deep).unwrap(), yaml);
        // A directory of that name is not a file.
        std::fs::create_dir(root.path().join("a/kennel.yaml")).unwrap();
        assert_eq!(find(&deep).unwrap(), yaml);
        std::fs::write(deep.join("kennel.toml"), "").unwrap();
        assert_eq!(find(&deep).unwrap(), deep.join("kennel.toml"));
        std::fs::write(root.path().join("kennel.toml"), "").unwrap();
        let message = find(root.path()).unwrap_err().to_string();
        assert!(message.starts_with("both `kennel.yml` and `kennel.toml` are in"), "{message}");
    }

    #[test]
    fn says_where_it_looked() {
        let root = tempfile::tempdir().unwrap();
        let message = find(root.path()).unwrap_err().to_string();
        assert!(message.contains(&root.path().display().to_string()), "{message}");
        assert!(message.ends_with("`kennel init` writes one"), "{message}");
    }
}
