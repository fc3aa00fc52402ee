//! Which file systems a store can be on: those of this machine alone.
//!
//! Its log needs memory that all connections share, and locks that hold. Over a network neither can be relied on, and two
//! machines that write the same store at the same time destroy it.
//!
//! Source: "Write-Ahead Logging", sqlite.org/wal.html, "Disadvantages"; numbers: `statfs(2)` and `linux/magic.h`.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::StoreError;

const NETWORKS: [(u64, &str); 14] = [
    (0x6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x517b, "smb"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "ceph"),
    (0x0bd0_0bd0, "lustre"),
    (0x5346_414f, "afs"),
    (0x6b41_4653, "kafs"),
    (0x7375_7245, "coda"),
    (0x7461_636f, "ocfs2"),
    (0x0116_1970, "gfs2"),
    (0x786f_4256, "vboxsf"),
    (0x1983_0326, "fhgfs"),
];
const FUSE: u64 = 0x6573_5546;
/// File systems of FUSE that are known to be on a network. Others, such as `virtiofs` or encrypted ones, are local.
const FUSE_NETWORKS: [&str; 12] = [
    "sshfs",
    "glusterfs",
    "s3fs",
    "rclone",
    "davfs",
    "davfs2",
    "smbnetfs",
    "curlftpfs",
    "gcsfuse",
    "goofys",
    "juicefs",
    "ceph-fuse",
];

/// Refuses a directory on a network.
pub(crate) fn check(dir: &Path) -> Result<(), StoreError> {
    let io = |source| StoreError::Io { path: dir.to_owned(), source };
    let found = rustix::fs::statfs(dir).map_err(|error| io(io::Error::from(error)))?;
    // The type of the field differs between architectures; the numbers have 32 bits.
    let magic = u64::try_from(found.f_type).unwrap_or(0) & 0xffff_ffff;
    let kind = if magic == FUSE {
        let device = std::fs::metadata(dir).map_err(io)?.dev();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        fuse_network(&mounts, device)
    } else {
        network(magic).map(str::to_owned)
    };
    kind.map_or(Ok(()), |kind| Err(StoreError::Network { path: dir.to_owned(), kind }))
}

fn network(magic: u64) -> Option<&'static str> {
    NETWORKS.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

/// The kind of the mount of a device, if it is one of a network. Source: `proc_pid_mountinfo(5)`.
fn fuse_network(mounts: &str, device: u64) -> Option<String> {
    let wanted = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let of_device = mounts.lines().filter(|line| line.split(' ').nth(2) == Some(&wanted));
    let kind = of_device.filter_map(|line| line.split_once(" - ")?.1.split(' ').next()).next_back()?;
    let name = kind.strip_prefix("fuse.")?;
    FUSE_NETWORKS.contains(&name).then(|| kind.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    #[test]
    fn networks_are_refused_and_the_way_out_is_told() {
        assert_eq!(network(0x6969), Some("nfs"));
        assert_eq!(network(0xff53_4d42), Some("cifs"));
        assert_eq!(network(0xef53), None, "ext4");
        let error =
            StoreError::Network { path: "/home/a/.local/state/kennel/b".into(), kind: "nfs".into() }.to_string();
        assert!(error.contains("nfs") && error.contains("XDG_STATE_HOME"), "{error}");
        let here = tempfile::tempdir().unwrap();
        check(here.path()).unwrap();
        assert!(check(&here.path().join("nowhere")).unwrap_err().to_string().contains("nowhere"));
    }

    #[test]
    fn what_is_behind_fuse_is_told_by_its_mount() {
        let mounts = "\
36 25 0:31 / /home/a rw,relatime shared:1 - fuse.gocryptfs /secret rw
37 25 0:32 / /mnt/far rw,relatime - fuse.sshfs me@there: rw
38 25 0:33 / / rw - virtiofs root rw
";
        let of = |minor| fuse_network(mounts, rustix::fs::makedev(0, minor));
        assert_eq!(of(31), None);
        assert_eq!(of(32).as_deref(), Some("fuse.sshfs"));
        assert_eq!(of(33), None);
        assert_eq!(of(34), None);
    }
}
