//! What a classification never says, whatever the machine looks like.
//!
//! covers: E9, B7

use std::collections::HashSet;
use std::path::PathBuf;

use kennel_sys::identity::Identity;
use kennel_sys::tag::{Instance, Tag};
use proptest::prelude::*;

use super::*;

/// Two instances, as tags name them.
fn instances() -> [Instance; 2] {
    // Files are what they are named by.
    let at = |path: &str| Instance::at(std::path::Path::new(path)).unwrap();
    [at("/"), at("/proc/self/exe")]
}

fn leaf(instance: &str, root: &str, name: &str, kept: bool, is_held: bool, is_ours: bool) -> Leaf {
    let root = PathBuf::from(root);
    let directory = root.join(if kept { "keep" } else { "svc" }).join(name);
    Leaf { instance: instance.into(), root, name: name.into(), directory, kept, is_held, is_ours }
}

/// Leaves of the instance `shop`, of a kennel inside of it, of another one, and of a namesake.
fn leaves(held: bool) -> Vec<Leaf> {
    vec![
        leaf("shop", "/c/kennel/shop", "web.1", false, held, true),
        leaf("shop", "/c/kennel/shop", "db.2", true, held, true),
        leaf("in", "/c/kennel/shop/svc/web.1/kennel/in", "y.1", false, true, true),
        leaf("other", "/c/kennel/other", "x.1", false, false, true),
        leaf("shop", "/c/kennel/shop~1", "web.9", false, true, true),
        leaf("shop", "/user/kennel/shop", "web.1", false, false, false),
    ]
}

/// A few processes with small numbers, so that parents, records and recycled numbers meet.
fn processes() -> impl Strategy<Value = Vec<Process>> {
    let tag = prop_oneof![4 => Just(None), 2 => (0_u32..3).prop_map(Some)];
    let one = (1_u64..4, 0_u64..3, 0_u32..12, tag, any::<bool>(), 0_usize..12, any::<bool>(), "[a-z ]{0,8}");
    proptest::collection::vec(one, 0..12).prop_map(|all| {
        let [ours, other] = instances();
        let of = |(at, (start_ticks, inode, ppid, scope, is_ours, leaf, ended, command))| {
            let pid = u32::try_from(at).unwrap_or(0) + 2;
            let tag = |scope| if is_ours { ours.tag(scope) } else { other.tag(scope) };
            let leaves = match leaf {
                2 => vec![2, 0],
                at @ 0..=5 => vec![at],
                _ => Vec::new(),
            };
            Process {
                identity: Identity { pid, start_ticks, inode },
                ppid,
                uid: 0,
                tag: Option::map(scope, tag),
                leaves,
                ended,
                may_signal: true,
                command,
            }
        };
        all.into_iter().enumerate().map(of).collect()
    })
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let one = (2_u32..14, 1_u64..4, 0_u64..3, any::<bool>());
    let make = |(pid, start_ticks, inode, is_now)| Record {
        service: "web".into(),
        run: 1,
        scope: "web.1".into(),
        boot_id: if is_now { "now" } else { "before" }.into(),
        process: Identity { pid, start_ticks, inode },
    };
    proptest::collection::vec(one.prop_map(make), 0..4)
}

fn known(records: Vec<Record>, tracked: Tracked) -> Known {
    Known { name: "shop".into(), tag: Some(instances()[0]), records, tracked }
}

fn machine(processes: Vec<Process>, held: bool) -> Machine {
    Machine { boot_id: "now".into(), processes, leaves: leaves(held), ..Machine::default() }
}

/// Whether anything in the machine says that a process is the instance's, told another way than the code under test
/// does: up the chain of parents, one fact at a time.
fn has_a_reason(machine: &Machine, known: &Known, process: &Process) -> bool {
    let carries = |one: &Process| one.tag.is_some_and(|tag| tag.instance() == instances()[0]);
    let is_in = |one: &Process| {
        one.leaves.iter().any(
            |at| matches!(machine.leaves[*at].directory.to_str(), Some(path) if path.starts_with("/c/kennel/shop/")),
        )
    };
    let is_recorded = |one: &Process| {
        known.records.iter().any(|record| {
            let (a, b) = (record.process, one.identity);
            let same = a.pid == b.pid && a.start_ticks == b.start_ticks;
            same && record.boot_id == "now" && (a.inode == b.inode || a.inode == 0 || b.inode == 0)
        })
    };
    let mut at = Some(process);
    for _ in 0..=machine.processes.len() {
        let Some(one) = at else { return false };
        if carries(one) || is_in(one) || is_recorded(one) {
            return true;
        }
        at = machine.processes.iter().find(|above| above.identity.pid == one.ppid);
    }
    false
}

proptest! {
    #[test]
    fn a_strangers_process_is_never_in_it(all in processes(), records in records(), own in 0_u32..14) {
        let (machine, known) = (machine(all, false), known(records, Tracked::Nothing));
        for orphan in classify(&machine, &known, own) {
            prop_assert!(has_a_reason(&machine, &known, &orphan.process), "{orphan:?}");
            prop_assert!(orphan.process.identity.pid != own);
            prop_assert!(!orphan.process.ended);
        }
    }

    #[test]
    fn whoever_carries_the_tag_or_is_recorded_in_full_is_in_it(all in processes(), records in records()) {
        let (machine, known) = (machine(all, false), known(records, Tracked::Nothing));
        let found: HashSet<u32> = classify(&machine, &known, 0).iter().map(|it| it.process.identity.pid).collect();
        for process in machine.processes.iter().filter(|one| !one.ended) {
            let carries = process.tag.is_some_and(|tag| tag.instance() == instances()[0]);
            let is_recorded = |record: &Record| record.boot_id == "now" && record.process == process.identity;
            if carries || process.identity.inode != 0 && known.records.iter().any(is_recorded) {
                prop_assert!(found.contains(&process.identity.pid), "{process:?}");
            }
        }
    }

    /// The number of a process that has ended is another's now: nothing but the number is equal.
    #[test]
    fn a_recycled_number_is_never_in_it(pid in 2_u32..9, start in 1_u64..99, inode in 1_u64..99, shift in 1_u64..9, later: bool) {
        let process = Process {
            identity: Identity { pid, start_ticks: start, inode },
            ppid: 1,
            uid: 0,
            tag: None,
            leaves: Vec::new(),
            ended: false,
            may_signal: true,
            command: "sleep 600".into(),
        };
        let it = process.identity;
        let recorded = match later {
            true => Identity { start_ticks: start + shift, ..it },
            false => Identity { inode: inode + shift, ..it },
        };
        let record = |process| Record {
            service: "web".into(), run: 1, scope: "web.1".into(), boot_id: "now".into(), process };
        let machine = machine(vec![process], false);
        prop_assert!(classify(&machine, &known(vec![record(recorded)], Tracked::Nothing), 0).is_empty());
        let before = Record { boot_id: "before".into(), ..record(it) };
        prop_assert!(classify(&machine, &known(vec![before], Tracked::Nothing), 0).is_empty());
        prop_assert!(classify(&machine, &known(vec![record(it)], Tracked::Nothing), 0)[0].is_certain);
    }

    #[test]
    fn what_is_tracked_is_never_in_it(
        all in processes(), records in records(), keeper in 2_u32..6, scopes in proptest::sample::subsequence(vec!["web.1", "db.2"], 0..=2),
    ) {
        let machine = machine(all, true);
        prop_assert!(classify(&machine, &known(records.clone(), Tracked::Everything), 0).is_empty());
        let tracking = Tracking {
            own: vec![keeper],
            roots: vec!["/c/kennel/shop".into()],
            scopes: scopes.iter().map(|name| (*name).to_owned()).collect(),
        };
        let found = classify(&machine, &known(records, Tracked::These(tracking)), 0);
        let tracked_tags: HashSet<Tag> =
            machine.processes.iter().filter(|one| is_held(&machine, one, keeper, &scopes)).filter_map(|one| one.tag).collect();
        for orphan in found {
            prop_assert!(!is_held(&machine, &orphan.process, keeper, &scopes), "{orphan:?}");
            prop_assert!(orphan.process.tag.is_none_or(|tag| !tracked_tags.contains(&tag)), "{orphan:?}");
        }
    }

    /// Nothing is decided by what a process calls itself.
    #[test]
    fn command_lines_decide_nothing(all in processes(), records in records(), name in "[a-z ]{0,8}") {
        let decide = |all: Vec<Process>| {
            let found = classify(&machine(all, false), &known(records.clone(), Tracked::Nothing), 0);
            found.into_iter().map(|it| (it.process.identity, it.evidence, it.is_certain)).collect::<Vec<_>>()
        };
        let renamed = all.iter().cloned().map(|one| Process { command: name.clone(), ..one }).collect();
        prop_assert_eq!(decide(all), decide(renamed));
    }
}

/// Below the keeper, or in a scope that the daemon knows.
fn is_held(machine: &Machine, process: &Process, keeper: u32, scopes: &[&str]) -> bool {
    let is_in = |at: &usize| {
        let leaf = &machine.leaves[*at];
        leaf.instance == "shop" && scopes.contains(&leaf.name.as_str())
    };
    let (mut at, mut steps) = (Some(process), 0);
    while let Some(one) = at.filter(|_| steps <= machine.processes.len()) {
        if one.identity.pid == keeper {
            return true;
        }
        at = machine.processes.iter().find(|above| above.identity.pid == one.ppid);
        steps += 1;
    }
    process.leaves.iter().any(is_in)
}

/// A keeper that follows another one may have to hold what that kept in its own root.
#[test]
fn what_was_adopted_from_another_root_is_tracked() {
    let tracking = |scopes: &[&str]| Tracking {
        own: vec![9],
        roots: vec!["/c/kennel/shop~1".into()],
        scopes: scopes.iter().map(|name| (*name).to_owned()).collect(),
    };
    let mut machine = machine(vec![plain_process(2, vec![1], None)], false);
    let found = |machine: &Machine, scopes: &[&str]| {
        pids(&classify(machine, &known(Vec::new(), Tracked::These(tracking(scopes))), 0))
    };
    assert_eq!(found(&machine, &["db.2"]), []);
    assert_eq!(found(&machine, &["web.1"]), [2]);
    // Its name was taken when it was made.
    machine.leaves[1].name = "db.2~1".into();
    assert_eq!(found(&machine, &["db.2"]), []);
    assert_eq!(found(&machine, &["db.2~1"]), []);
}

fn plain_process(pid: u32, leaves: Vec<usize>, tag: Option<Tag>) -> Process {
    let identity = Identity { pid, start_ticks: 1, inode: 0 };
    let command = String::new();
    Process { identity, ppid: 1, uid: 0, tag, leaves, ended: false, may_signal: true, command }
}

fn pids(found: &[Orphan]) -> Vec<u32> {
    found.iter().map(|orphan| orphan.process.identity.pid).collect()
}

#[test]
fn a_namesake_of_another_state_directory_is_left_alone() {
    let [ours, other] = instances();
    let scoped = |tag| machine(vec![plain_process(2, vec![0], tag), plain_process(3, vec![0], None)], false);
    let known = known(Vec::new(), Tracked::Nothing);
    assert_eq!(pids(&classify(&scoped(Some(other.tag(1))), &known, 0)), []);
    assert_eq!(pids(&classify(&scoped(Some(ours.tag(1))), &known, 0)), [2, 3]);
    // Nothing but its name tells whose the group is.
    assert_eq!(pids(&classify(&scoped(None), &known, 0)), [2, 3]);
    // What is carried in the leaf beside decides where nothing is in this one.
    let beside = machine(vec![plain_process(2, vec![0], None), plain_process(3, vec![1], Some(other.tag(1)))], false);
    assert_eq!(pids(&classify(&beside, &known, 0)), []);
}

#[test]
fn a_group_of_another_user_or_keeper_is_left_alone() {
    let all = vec![plain_process(2, vec![4], None), plain_process(3, vec![5], None), plain_process(4, vec![3], None)];
    assert_eq!(pids(&classify(&machine(all, false), &known(Vec::new(), Tracked::Nothing), 0)), []);
}

#[test]
fn what_is_inside_of_a_service_is_the_services() {
    let [ours, other] = instances();
    // A kennel in the service `web`, with a service of its own that carries the inner one's tag.
    let inner = plain_process(3, vec![2, 0], Some(other.tag(4)));
    let all = vec![plain_process(2, vec![0], Some(ours.tag(1))), inner];
    let found = classify(&machine(all, false), &known(Vec::new(), Tracked::Nothing), 0);
    assert_eq!(pids(&found), [2, 3]);
    assert_eq!(found[1].scope.as_deref(), Some("web.1"));
}

#[test]
fn how_sure_it_is() {
    let [ours, _] = instances();
    let certain = |process: Process, records: Vec<Record>| {
        let found = classify(&machine(vec![process], false), &known(records, Tracked::Nothing), 0);
        found.first().map(|it| (it.is_certain, it.kept))
    };
    let record = |inode| Record {
        service: "db".into(),
        run: 2,
        scope: "db.2".into(),
        boot_id: "now".into(),
        process: Identity { pid: 2, start_ticks: 1, inode },
    };
    let tagged = plain_process(2, Vec::new(), Some(ours.tag(1)));
    assert_eq!(certain(plain_process(2, vec![0], None), Vec::new()), Some((true, false)));
    assert_eq!(certain(plain_process(2, vec![1], None), Vec::new()), Some((true, true)));
    assert_eq!(certain(tagged.clone(), Vec::new()), Some((false, false)));
    assert_eq!(certain(plain_process(2, Vec::new(), Some(ours.tag(1).kept())), Vec::new()), Some((false, true)));
    // The number and the tick of its start may be another's on a kernel that has nothing better; not with the tag.
    assert_eq!(certain(plain_process(2, Vec::new(), None), vec![record(0)]), Some((false, false)));
    assert_eq!(certain(tagged, vec![record(0)]), Some((true, false)));
    assert_eq!(certain(plain_process(2, Vec::new(), None), Vec::new()), None);
}

#[test]
fn a_tag_names_the_scope_of_who_has_the_same() {
    let [ours, _] = instances();
    let record = Record {
        service: "db".into(),
        run: 2,
        scope: "db.2".into(),
        boot_id: "now".into(),
        process: Identity { pid: 2, start_ticks: 1, inode: 0 },
    };
    let all = [(2, 1), (3, 1), (4, 2)].map(|(pid, scope)| plain_process(pid, Vec::new(), Some(ours.tag(scope))));
    let found = classify(&machine(all.to_vec(), false), &known(vec![record], Tracked::Nothing), 0);
    assert_eq!(found.iter().map(|it| it.scope.as_deref()).collect::<Vec<_>>(), [Some("db.2"), Some("db.2"), None]);
}

#[test]
fn who_was_gone_too_soon_is_looked_for_only_where_nothing_is_tracked() {
    let [ours, other] = instances();
    let fleeting_now = [ours.tag(1), other.tag(1)].into();
    let machine = Machine { fleeting: fleeting_now, ..machine(Vec::new(), false) };
    let told = |tracked| fleeting(&machine, &known(Vec::new(), tracked));
    assert_eq!(told(Tracked::Nothing), [ours.tag(1)].into());
    assert!(told(Tracked::Everything).is_empty());
    assert!(told(Tracked::These(Tracking::default())).is_empty());
}

#[test]
fn a_child_is_as_certain_as_its_parent() {
    let [ours, _] = instances();
    let child = |pid, ppid, tag| Process { ppid, ..plain_process(pid, Vec::new(), tag) };
    let of = |first: Process| {
        let all = vec![first, child(3, 2, Some(ours.tag(1))), child(4, 3, None), child(5, 9, Some(ours.tag(1)))];
        let found = classify(&machine(all, false), &known(Vec::new(), Tracked::Nothing), 0);
        found.iter().map(|it| (it.process.identity.pid, it.is_certain, it.evidence.parent)).collect::<Vec<_>>()
    };
    let by_group = of(plain_process(2, vec![0], None));
    assert_eq!(by_group, [(2, true, None), (3, true, Some(2)), (4, true, Some(3)), (5, false, None)]);
    let by_tag = of(plain_process(2, Vec::new(), Some(ours.tag(1))));
    assert_eq!(by_tag, [(2, false, None), (3, false, None), (4, false, Some(3)), (5, false, None)]);
}
