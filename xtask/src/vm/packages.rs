//! Emulator and kernels from Debian's packages, unpacked below the target directory and never installed: an
//! installed emulator would take the place of other versions of its parts.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Result, run};

/// What the guest needs that may be installed here already and is not named as missing then.
const PARTS: [&str; 6] =
    ["qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios", "ipxe-qemu", "busybox-static"];

/// What a system is made of that is run by systemd and that somebody can log in to.
const SYSTEM: [&str; 14] = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "dbus-user-session",
    "libpam-systemd",
    "libpam-modules",
    "login",
    "bash",
    "dash",
    "coreutils",
    "findutils",
    "util-linux",
    "grep",
    "sed",
];

/// Meta packages, each of which depends on the newest kernel of a series. The second is a backport.
pub(super) const KERNELS: [(&str, &str); 2] =
    [("6.1", "linux-image-cloud-amd64"), ("6.12", "linux-image-6.12-cloud-amd64")];

/// Everything that a guest is made of, but its programs.
pub(super) struct Machine {
    /// Where the packages are unpacked.
    root: PathBuf,
    /// Where a whole system is unpacked.
    system: Option<PathBuf>,
    pub(super) kernel: PathBuf,
    pub(super) version: String,
}

impl Machine {
    /// Fetches and unpacks what is missing.
    ///
    /// # Errors
    /// If this is no Debian for x86-64, or packages cannot be had.
    pub(super) fn fetch(cache: &Path, series: &str) -> Result<Self> {
        let meta = KERNELS.iter().find(|(name, _)| *name == series).map(|(_, meta)| *meta);
        let meta = meta.ok_or_else(|| format!("no kernel `{series}`: there are 6.1 and 6.12"))?;
        if !cfg!(target_arch = "x86_64") || !run::have("apt-get") {
            return Err("the guest's packages are those of Debian for x86-64".to_owned());
        }
        let root = cache.join("machine");
        unpack(cache, &root, "machine", machine_packages)?;
        let boot = cache.join(format!("linux-{series}"));
        unpack(cache, &boot, series, || Ok(vec![kernel_package(meta)?]))?;
        let kernel = first(&boot.join("boot"), "vmlinuz-").ok_or("the kernel's package has no kernel")?;
        let name = kernel.file_name().unwrap_or_default().to_string_lossy();
        let version = name.trim_start_matches("vmlinuz-").to_owned();
        Ok(Self { root, system: None, kernel, version })
    }

    /// Adds a system that is run by systemd.
    ///
    /// # Errors
    /// As [`Machine::fetch`].
    pub(super) fn with_system(self, cache: &Path) -> Result<Self> {
        let system = cache.join("system");
        unpack(cache, &system, "system", system_packages)?;
        Ok(Self { system: Some(system), ..self })
    }

    pub(super) fn system(&self) -> Option<&Path> {
        self.system.as_deref()
    }

    pub(super) fn busybox(&self) -> PathBuf {
        self.root.join("bin/busybox")
    }

    pub(super) fn emulator(&self) -> PathBuf {
        self.root.join("usr/bin/qemu-system-x86_64")
    }

    /// As the dynamic loader wants them.
    pub(super) fn libraries(&self) -> String {
        let at = |dir: &str| self.root.join(dir).display().to_string();
        [at("usr/lib/x86_64-linux-gnu"), at("lib/x86_64-linux-gnu")].join(":")
    }

    /// Where the emulator finds its firmware.
    pub(super) fn firmware(&self) -> [PathBuf; 2] {
        [self.root.join("usr/share/qemu"), self.root.join("usr/share/seabios")]
    }
}

/// The emulator with those of its libraries that are not installed here.
fn machine_packages() -> Result<Vec<String>> {
    let call = ["install", "--print-uris", "-y", "-qq", "--no-install-recommends", PARTS[0], PARTS[5]];
    let listed = run::output("apt-get", call)?;
    let mut names = names(&listed);
    names.extend(PARTS.map(str::to_owned));
    names.sort();
    names.dedup();
    Ok(names)
}

/// systemd with all it needs, as if nothing were installed.
fn system_packages() -> Result<Vec<String>> {
    let call = "install --print-uris -y -qq --no-install-recommends -o Dir::State::status=/dev/null";
    let listed = run::output("apt-get", call.split(' ').chain(SYSTEM))?;
    Ok(names(&listed))
}

/// Of the packages in a list of what would be fetched: a line is 'URI' FILE SIZE HASH, FILE is NAME_VERSION_ARCH.deb.
fn names(listed: &str) -> Vec<String> {
    let files = listed.lines().filter(|line| line.starts_with('\'')).filter_map(|line| line.split(' ').nth(1));
    files.filter_map(|file| Some(file.split_once('_')?.0.to_owned())).collect()
}

fn kernel_package(meta: &str) -> Result<String> {
    let listed = run::output("apt-cache", ["depends", "--important", meta])?;
    let image = listed.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    image.map(|name| format!("linux-image-{name}")).ok_or_else(|| format!("`{meta}` depends on no kernel"))
}

/// Downloads packages and unpacks them into `root`, unless that was done before. The list of what there is is
/// renewed once if something is not found.
fn unpack(cache: &Path, root: &Path, name: &str, packages: impl Fn() -> Result<Vec<String>>) -> Result {
    if root.join(".complete").is_file() {
        return Ok(());
    }
    let say = |what: &str, error: &std::io::Error| format!("cannot {what}: {error}");
    let debs = cache.join(format!("debs-{name}"));
    for dir in [root, &debs] {
        let _none = fs::remove_dir_all(dir);
        fs::create_dir_all(dir).map_err(|error| say("make a directory", &error))?;
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        // As on every system since: packages have files in both.
        fs::create_dir_all(root.join("usr").join(name)).map_err(|error| say("make a directory", &error))?;
        std::os::unix::fs::symlink(Path::new("usr").join(name), root.join(name))
            .map_err(|error| say("make a link", &error))?;
    }
    let download = || run::program("apt-get", [vec!["-qq".into(), "download".into()], packages()?].concat(), &debs);
    if download().is_err() {
        eprintln!("vm: renewing the list of packages");
        crate::setup::apt(&["update"]).and_then(|()| download()).map_err(|why| {
            format!("Debian's packages for the emulated machine ({name}) cannot be had, so nothing ran in it: {why}")
        })?;
    }
    let entries = fs::read_dir(&debs).map_err(|error| say("read the packages", &error))?;
    for deb in entries.flatten() {
        run::quiet("dpkg-deb", [Path::new("-x"), &deb.path(), root])?;
    }
    let _unused = fs::remove_dir_all(&debs);
    fs::write(root.join(".complete"), "").map_err(|error| say("mark the packages as complete", &error))
}

/// The first file of a directory whose name begins so.
fn first(dir: &Path, prefix: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?.flatten();
    entries
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
}
