//! Round trips, and garbage.

use std::os::fd::OwnedFd;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::proto::*;

fn null() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

fn c_string() -> impl Strategy<Value = CString> {
    vec(1..=255_u8, 0..40).prop_map(|bytes| CString::new(bytes).unwrap())
}

fn scope() -> impl Strategy<Value = ScopeId> {
    any::<u64>().prop_map(ScopeId)
}

fn spawn() -> impl Strategy<Value = Request> {
    let ids =
        (any::<u32>(), any::<u32>(), vec(any::<u32>(), 0..5)).prop_map(|(uid, gid, groups)| Ids { uid, gid, groups });
    let head = (scope(), "[a-z.]{1,9}", vec(c_string(), 0..5), vec(c_string(), 0..5), c_string());
    let tail = (proptest::option::of(ids), proptest::option::of(any::<u32>()), any::<bool>());
    let bounds = (isolation(), privileges(), any::<bool>());
    (head, tail, bounds).prop_map(|(head, (user, umask, capture), (isolation, privileges, kill_escaped))| {
        let (scope, name, argv, env, cwd) = head;
        let stdio = if capture { Stdio::Capture } else { Stdio::Passed([null(), null(), null()]) };
        Request::Spawn(Box::new(Spawn {
            scope,
            name,
            argv,
            env,
            cwd,
            user,
            umask,
            isolation,
            privileges,
            kill_escaped,
            stdio,
        }))
    })
}

fn isolation() -> impl Strategy<Value = Isolation> {
    any::<(bool, bool, bool, bool)>().prop_map(|(pid, proc, tmp, network)| Isolation { pid, proc, tmp, network })
}

fn privileges() -> impl Strategy<Value = Privileges> {
    use proptest::option::of;
    let limit = any::<(u32, u64, u64)>().prop_map(|(resource, soft, hard)| Limit { resource, soft, hard });
    let numbers = (of(any::<i32>()), vec(any::<u32>(), 0..5), of(any::<u32>()), of(any::<i32>()));
    (any::<(bool, bool)>(), (of(any::<u64>()), any::<u64>()), vec(limit, 0..4), numbers).prop_map(
        |(
            (no_new_privs, dedicated_user),
            (capabilities, added_capabilities),
            limits,
            (nice, cpus, io_priority, oom_score_adj),
        )| Privileges {
            no_new_privs,
            capabilities,
            added_capabilities,
            limits,
            nice,
            cpus,
            io_priority,
            oom_score_adj,
            dedicated_user,
        },
    )
}

fn identity() -> impl Strategy<Value = Identity> {
    any::<(u32, u64, u64)>().prop_map(|(pid, start_ticks, inode)| Identity { pid, start_ticks, inode })
}

fn refused() -> impl Strategy<Value = SignalRefused> {
    prop_oneof![
        Just(SignalRefused::Gone),
        Just(SignalRefused::NotTheSame),
        Just(SignalRefused::NotInScope),
        any::<i32>().prop_map(SignalRefused::Os),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        any::<u16>().prop_map(|version| Request::Hello { version }),
        spawn(),
        (scope(), any::<i32>(), any::<bool>())
            .prop_map(|(scope, signal, everyone)| { Request::Signal { scope, signal, everyone } }),
        scope().prop_map(|scope| Request::Kill { scope }),
        scope().prop_map(|scope| Request::Forget { scope }),
        (scope(), identity(), any::<i32>()).prop_map(|(scope, process, signal)| Request::SignalProcess {
            scope,
            process,
            signal
        }),
        Just(()).prop_map(|()| Request::Bye),
    ]
}

fn exit() -> impl Strategy<Value = Exit> {
    prop_oneof![any::<i32>().prop_map(Exit::Code), any::<i32>().prop_map(Exit::Signal), Just(Exit::Unknown)]
}

fn pipes() -> impl Strategy<Value = Option<[OwnedFd; 2]>> {
    any::<bool>().prop_map(|some| some.then(|| [null(), null()]))
}

fn known() -> impl Strategy<Value = Known> {
    (scope(), ".{0,9}", any::<u32>(), proptest::option::of(exit()), any::<bool>(), pipes())
        .prop_map(|(scope, name, pid, exit, empty, pipes)| Known { scope, name, pid, exit, empty, pipes })
}

fn survivor() -> impl Strategy<Value = Survivor> {
    (any::<u32>(), any::<char>(), ".{0,9}", vec(".{0,9}", 0..3), any::<u32>(), ".{0,9}")
        .prop_map(|(pid, state, wchan, stack, tracer, command)| Survivor { pid, state, wchan, stack, tracer, command })
}

fn event() -> impl Strategy<Value = Event> {
    let backend = prop_oneof![
        ".{0,9}".prop_map(|root| Backend::Cgroup { root: root.into() }),
        (proptest::sample::select(Reason::ALL.to_vec()), ".{0,9}")
            .prop_map(|(reason, because)| Backend::Reaper { reason, because }),
    ];
    let place = prop_oneof![".{0,9}".prop_map(|path| Place::Cgroup(path.into())), any::<u32>().prop_map(Place::Reaper)];
    let kind = proptest::sample::select(vec![
        SpawnErrorKind::NotFound,
        SpawnErrorKind::NotExecutable,
        SpawnErrorKind::BadInterpreter,
        SpawnErrorKind::BadCwd,
        SpawnErrorKind::BadUser,
        SpawnErrorKind::TooLong,
        SpawnErrorKind::Scope,
        SpawnErrorKind::Resources,
        SpawnErrorKind::Setting(Setting::Limit),
        SpawnErrorKind::Setting(Setting::Nice),
        SpawnErrorKind::Setting(Setting::Cpus),
        SpawnErrorKind::Setting(Setting::IoPriority),
        SpawnErrorKind::Setting(Setting::OomScoreAdj),
        SpawnErrorKind::Setting(Setting::Capabilities),
        SpawnErrorKind::Isolation,
    ]);
    prop_oneof![
        (any::<u16>(), any::<u32>(), backend, vec(known(), 0..4))
            .prop_map(|(version, pid, backend, known)| Event::Welcome { version, pid, backend, known }),
        (scope(), identity(), place, pipes()).prop_map(|(scope, identity, place, pipes)| {
            Event::Spawned { scope, pid: identity.pid, identity, place, pipes }
        }),
        (scope(), kind, any::<i32>(), ".{0,9}").prop_map(|(scope, kind, errno, subject)| {
            Event::SpawnFailed { scope, error: SpawnError { kind, errno, subject } }
        }),
        (scope(), exit(), any::<u64>(), any::<u64>()).prop_map(|(scope, exit, cpu_us, max_rss_bytes)| {
            Event::MainExited { scope, exit, usage: Usage { cpu_us, max_rss_bytes } }
        }),
        (scope(), any::<u32>(), exit()).prop_map(|(scope, pid, exit)| Event::Reaped { scope, pid, exit }),
        scope().prop_map(|scope| Event::Emptied { scope }),
        (scope(), vec(survivor(), 0..4)).prop_map(|(scope, survivors)| Event::Stuck { scope, survivors }),
        (scope(), any::<bool>()).prop_map(|(scope, stuck)| Event::Stage {
            scope,
            stage: if stuck { KillStage::Stuck } else { KillStage::Sweep },
        }),
        (scope(), survivor(), ".{0,9}").prop_map(|(scope, process, path)| Event::Escaped { scope, process, path }),
        vec(survivor(), 0..4).prop_map(|survivors| Event::Leftovers { survivors }),
        (scope(), identity(), proptest::option::of(refused())).prop_map(|(scope, process, refused)| Event::Signalled {
            scope,
            process,
            refused
        }),
    ]
}

fn owned(fds: &[BorrowedFd<'_>]) -> Vec<OwnedFd> {
    fds.iter().map(|fd| fd.try_clone_to_owned().unwrap()).collect()
}

/// Descriptors get other numbers on the way; everything else must look the same.
fn shown(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let mut parts = text.split("OwnedFd { fd: ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("fd");
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    out
}

proptest! {
    #[test]
    fn a_request_survives_the_way(request in request()) {
        let (bytes, fds) = encode_request(&request);
        let decoded = decode_request(&bytes, owned(&fds)).unwrap();
        prop_assert_eq!(shown(&decoded), shown(&request));
    }

    #[test]
    fn an_event_survives_the_way(event in event()) {
        let (bytes, fds) = encode_event(&event);
        let decoded = decode_event(&bytes, owned(&fds)).unwrap();
        prop_assert_eq!(shown(&decoded), shown(&event));
    }

    #[test]
    fn garbage_is_an_error_or_a_message_but_never_a_panic(bytes in vec(any::<u8>(), 0..200), kind in 0..9_u8) {
        let _any = decode_request(&bytes, Vec::new());
        let _any = decode_event(&bytes, Vec::new());
        let mut bytes = bytes;
        bytes.insert(0, kind);
        let _any = decode_request(&bytes, vec![null()]);
        let _any = decode_event(&bytes, vec![null()]);
    }

    #[test]
    fn a_cut_or_lengthened_message_is_refused(event in event(), request in request(), at in any::<prop::sample::Index>()) {
        let (bytes, fds) = encode_event(&event);
        prop_assert!(decode_event(&bytes[..at.index(bytes.len())], owned(&fds)).is_err());
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        prop_assert_eq!(decode_event(&longer, owned(&fds)).unwrap_err(), Malformed::Long);
        let (bytes, fds) = encode_request(&request);
        prop_assert!(decode_request(&bytes[..at.index(bytes.len())], owned(&fds)).is_err());
        let mut more = owned(&fds);
        more.push(null());
        prop_assert_eq!(decode_request(&bytes, more).unwrap_err(), Malformed::Descriptors);
    }
}

#[test]
fn an_announced_length_reserves_nothing() {
    // A list of four billion arguments in seventeen bytes.
    let mut bytes = vec![2];
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&[0xff; 4]);
    assert_eq!(decode_request(&bytes, Vec::new()).unwrap_err(), Malformed::Short);
}
