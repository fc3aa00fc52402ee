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
    let rights = (isolation(), privileges(), any::<bool>());
    let life = (any::<bool>(), vec(any::<u8>(), 0..20), vec(bound(), 0..4), owners());
    (head, tail, rights, life).prop_map(
        |(head, (user, umask, capture), (isolation, privileges, kill_escaped), (keep, note, bounds, owners))| {
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
                keep,
                note,
                bounds,
                owners,
            }))
        },
    )
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

fn owners() -> impl Strategy<Value = Vec<String>> {
    vec("[a-z.]{1,9}", 0..4)
}

fn bound() -> impl Strategy<Value = Bound> {
    (proptest::sample::select(Resource::ALL.to_vec()), any::<Option<u64>>())
        .prop_map(|(resource, value)| Bound { resource, value })
}

fn applied() -> impl Strategy<Value = Applied> {
    let nobody = ".{0,9}".prop_map(|why| HeldBy::Nobody { why });
    let by = prop_oneof![Just(HeldBy::Cgroup), Just(HeldBy::CgroupV1), nobody];
    (bound(), by).prop_map(|(bound, by)| Applied { bound, by })
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
        (scope(), any::<bool>()).prop_map(|(scope, frozen)| Request::Freeze { scope, frozen }),
        (scope(), vec(bound(), 0..4)).prop_map(|(scope, bounds)| Request::Bound { scope, bounds }),
        (owners(), vec(bound(), 0..4)).prop_map(|(owners, bounds)| Request::BoundPool { owners, bounds }),
        scope().prop_map(|scope| Request::Forget { scope }),
        (scope(), identity(), any::<i32>()).prop_map(|(scope, process, signal)| Request::SignalProcess {
            scope,
            process,
            signal
        }),
        Just(()).prop_map(|()| Request::Bye),
        ".{0,9}".prop_map(|name| Request::Hold { name, fd: null() }),
        ".{0,9}".prop_map(|name| Request::Release { name }),
        adopt().prop_map(|adopt| Request::Adopt(Box::new(adopt))),
        Just(()).prop_map(|()| Request::Settled),
        ".{0,9}".prop_map(|leaf| Request::KillStray { leaf }),
        any::<bool>().prop_map(|own| Request::Succeed { program: own.then(null) }),
        Just(()).prop_map(|()| Request::HandOver),
        Just(()).prop_map(|()| Request::Exec { program: null() }),
    ]
}

fn exit() -> impl Strategy<Value = Exit> {
    prop_oneof![any::<i32>().prop_map(Exit::Code), any::<i32>().prop_map(Exit::Signal), Just(Exit::Unknown)]
}

fn pipes() -> impl Strategy<Value = Option<[OwnedFd; 2]>> {
    any::<bool>().prop_map(|some| some.then(|| [null(), null()]))
}

fn adopt() -> impl Strategy<Value = Adopt> {
    let pipes = proptest::option::of(any::<[u64; 2]>());
    (scope(), ".{0,9}", identity(), any::<bool>(), vec(any::<u8>(), 0..20), pipes).prop_map(
        |(scope, leaf, process, kill_escaped, note, pipes)| Adopt { scope, leaf, process, kill_escaped, note, pipes },
    )
}

fn follows() -> impl Strategy<Value = Follows> {
    proptest::sample::select(vec![Follows::Fresh, Follows::Loss, Follows::HandOver])
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![".{0,9}".prop_map(|path| Place::Cgroup(path.into())), any::<u32>().prop_map(Place::Reaper)]
}

fn known() -> impl Strategy<Value = Known> {
    let started =
        (identity(), proptest::option::of(place()), pipes(), proptest::option::of(exit()), any::<[bool; 3]>())
            .prop_map(|(identity, place, pipes, exit, [ending, empty, frozen])| Started {
                identity,
                place,
                pipes,
                exit,
                ending,
                empty,
                frozen,
            });
    (scope(), ".{0,9}", any::<bool>(), vec(any::<u8>(), 0..20), proptest::option::of(started))
        .prop_map(|(scope, name, keep, note, started)| Known { scope, name, keep, note, started })
}

fn adopt_error() -> impl Strategy<Value = AdoptError> {
    prop_oneof![
        Just(AdoptError::Gone),
        Just(AdoptError::NoCgroups),
        Just(AdoptError::Taken),
        any::<i32>().prop_map(AdoptError::Os)
    ]
}

fn successor() -> impl Strategy<Value = Successor> {
    prop_oneof![Just(Successor::Ready), ".{0,9}".prop_map(|why| Successor::Failed { why }), Just(Successor::Done)]
}

fn stray() -> impl Strategy<Value = Stray> {
    (".{0,9}", vec(survivor(), 0..3)).prop_map(|(leaf, processes)| Stray { leaf, processes })
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
        (any::<[u32; 2]>(), backend, follows(), vec(known(), 0..4)).prop_map(
            |([pid, held], backend, follows, known)| {
                Event::Welcome { version: VERSION, pid, backend, follows, known, held }
            }
        ),
        (scope(), identity(), place(), pipes(), proptest::option::of(any::<[u64; 2]>())).prop_map(
            |(scope, identity, place, pipes, inodes)| {
                Event::Spawned { scope, pid: identity.pid, identity, place, pipes, inodes }
            }
        ),
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
        (scope(), any::<bool>()).prop_map(|(scope, frozen)| Event::Frozen { scope, frozen }),
        (scope(), vec(applied(), 0..4)).prop_map(|(scope, applied)| Event::Bounded { scope, applied }),
        (scope(), any::<u64>(), any::<[Option<u64>; 2]>(), proptest::option::of(owners()))
            .prop_map(|(scope, kills, [limit, peak], of)| Event::OutOfMemory { scope, kills, limit, peak, of }),
        (owners(), vec(applied(), 0..4)).prop_map(|(owners, applied)| Event::PoolBounded { owners, applied }),
        (scope(), survivor(), ".{0,9}").prop_map(|(scope, process, path)| Event::Escaped { scope, process, path }),
        vec(survivor(), 0..4).prop_map(|survivors| Event::Leftovers { survivors }),
        (scope(), identity(), proptest::option::of(refused())).prop_map(|(scope, process, refused)| Event::Signalled {
            scope,
            process,
            refused
        }),
        ".{0,9}".prop_map(|name| Event::Held { name, fd: null() }),
        (scope(), place(), pipes(), any::<bool>()).prop_map(|(scope, place, pipes, main_alive)| Event::Adopted {
            scope,
            place,
            pipes,
            main_alive
        }),
        (scope(), adopt_error()).prop_map(|(scope, error)| Event::AdoptRefused { scope, error }),
        vec(stray(), 0..4).prop_map(|strays| Event::Strays { strays }),
        ".{0,9}".prop_map(|leaf| Event::StrayEnded { leaf }),
        successor().prop_map(Event::Successor),
        (any::<u16>(), proptest::option::of(".{0,9}"))
            .prop_map(|(version, refused)| Event::Executed { version, refused }),
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
        let (bytes, fds) = encode_request(&request, VERSION).unwrap();
        let decoded = decode_request(&bytes, owned(&fds)).unwrap();
        prop_assert_eq!(shown(&decoded), shown(&request));
    }

    #[test]
    fn an_event_survives_the_way(event in event()) {
        let (bytes, fds) = encode_event(&event);
        let decoded = decode_event(&bytes, owned(&fds), VERSION).unwrap();
        prop_assert_eq!(shown(&decoded), shown(&event));
    }

    #[test]
    fn garbage_is_an_error_or_a_message_but_never_a_panic(bytes in vec(any::<u8>(), 0..200), kind in 0..20_u8) {
        let _any = decode_request(&bytes, Vec::new());
        let _any = decode_event(&bytes, Vec::new(), VERSION);
        let mut bytes = bytes;
        bytes.insert(0, kind);
        let _any = decode_request(&bytes, vec![null()]);
        let _any = decode_event(&bytes, vec![null()], VERSION);
    }

    #[test]
    fn a_cut_or_lengthened_message_is_refused(event in event(), request in request(), at in any::<prop::sample::Index>()) {
        let (bytes, fds) = encode_event(&event);
        prop_assert!(decode_event(&bytes[..at.index(bytes.len())], owned(&fds), VERSION).is_err());
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        prop_assert_eq!(decode_event(&longer, owned(&fds), VERSION).unwrap_err(), Malformed::Long);
        let (bytes, fds) = encode_request(&request, VERSION).unwrap();
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

/// A welcome as a keeper of version 3 writes it.
fn welcome_of_3(known: &[(u64, &str, u32, bool)]) -> Vec<u8> {
    let mut writer = Writer::new(3);
    writer.u8(1);
    writer.u16(3);
    writer.u32(17);
    writer.u8(1);
    writer.bytes(b"/root");
    writer.list(known, |writer, (scope, name, pid, empty)| {
        writer.u64(*scope);
        writer.bytes(name.as_bytes());
        writer.u32(*pid);
        writer.bool(false);
        writer.bool(*empty);
        writer.bool(true);
    });
    writer.bytes
}

#[test]
fn a_keeper_of_version_3_is_understood() {
    let bytes = welcome_of_3(&[(5, "web.5", 99, true)]);
    let event = decode_event(&bytes, vec![null(), null()], VERSION).unwrap();
    let Event::Welcome { version: 3, pid: 17, follows: Follows::Loss, known, .. } = event else { panic!("{event:?}") };
    let [Known { scope: ScopeId(5), name, keep: false, note, started: Some(started) }] = known.as_slice() else {
        panic!("{known:?}")
    };
    assert_eq!((name.as_str(), note.len()), ("web.5", 0));
    assert_eq!((started.identity.pid, started.empty, started.pipes.is_some()), (99, true, true));
    let event = decode_event(&welcome_of_3(&[]), Vec::new(), VERSION).unwrap();
    assert!(matches!(event, Event::Welcome { follows: Follows::Fresh, .. }), "{event:?}");
}

#[test]
fn a_keeper_of_version_3_is_asked_for_nothing_else() {
    let (bytes, _) = encode_request(&Request::Hello { version: VERSION }, 3).unwrap();
    assert_eq!(bytes, [1, 7, 0]);
    let refused = encode_request(&Request::Settled, 3).unwrap_err();
    assert_eq!(refused.to_string(), "the keeper that runs speaks version 3 of the protocol, which has no adoption");
}

proptest! {
    /// What version 4 appended is left away, and a scope that is to be kept is refused instead of being lost later.
    #[test]
    fn a_start_is_written_as_version_3_knows_it(request in spawn()) {
        let Request::Spawn(spawn) = &request else { unreachable!() };
        let (now, _) = encode_request(&request, VERSION).unwrap();
        match encode_request(&request, 3) {
            Err(refused) => prop_assert!(spawn.keep && refused.version == 3),
            Ok((then, _)) => {
                prop_assert!(!spawn.keep);
                let bounds: usize = spawn.bounds.iter().map(|it| if it.value.is_some() { 10 } else { 2 }).sum();
                let owners: usize = spawn.owners.iter().map(|it| 4 + it.len()).sum();
                let appended = 1 + 4 + spawn.note.len() + 4 + bounds + 4 + owners;
                prop_assert_eq!(&then[..], &now[..now.len() - appended]);
            }
        }
    }

    #[test]
    fn a_keeper_of_an_unknown_version_is_refused_by_name(version: u16, rest in vec(any::<u8>(), 0..40)) {
        prop_assume!(!(OLDEST..=VERSION).contains(&version));
        let bytes: Vec<u8> = [1].into_iter().chain(version.to_le_bytes()).chain(rest).collect();
        prop_assert_eq!(decode_event(&bytes, Vec::new(), VERSION).unwrap_err(), Malformed::Version(version));
    }
}
