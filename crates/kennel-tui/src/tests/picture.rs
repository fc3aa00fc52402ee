use super::keys::typed;
use super::samples::{WORDS, alert, history, look, picture, shown};
use crate::span::Span;
use crate::{Options, Order};

#[test]
fn on_a_small_terminal() {
    insta::assert_snapshot!(picture(&mut shown(), 80, 24), @r"
    kennel  shop                                                          03:04:05
    CPU ━━━━━━━━━━━━━━──────────── 215% of 4 CPUs, load 2.31
    MEM ━━━━━━━━━━━─────────────── 717 MiB of 16.0 GiB, 9.0 GiB free
    7 services: 1 failed, 1 spinning, 1 frozen, 1 waiting, 2 ready, 1 completed

    SERVICE                            CPU%     TREND    MEM   THR  READ/s  WRIT/s
    ▾ ● web       ready                12.3   ▁▁▂▅▄▂▁   201M     9       0    1.2M
      ├─ 4242 npm run dev               0.0            50.0M     1
      │  ├─ 4250 sh -c vite --port …    0.1             1.0M     3
      │  │  └─ 4251 node /srv/shop/…   12.2             120M     1
      │  │     └─ 4260 esbuild --se…    0.0            30.0M     1
      │  └─ 4255 node watch.js          0.0             9.0M     2
      └─ Z 4299 [escaped]               0.0                0     1
    ▾ ▲ hog       spinning              203   ▁▁▁▃▂▁▄   500M     3       0    1.2M
      └─ 5000 ./hog                     203             500M     3
    ▾ ● worker.1  ready                 0.0   ▁▁▂▅▄▂    8.0M     2       0    1.2M
      └─ 6001 worker                    0.0             8.0M     2
    ▾ ■ worker.2  frozen                0.0   ▁▁▂▅▄▂    8.0M     3       0    1.2M
      └─ 6002 worker                    0.0             8.0M     3
      ↻ flaky     waiting    exit 3, retry in 3.0 s
      ✗ db        failed     cannot execute `./dbd`: no such file
      ✓ migrate   completed
    03:04:05  web  ready in 210 ms
    ? help  q quit  Enter logs  / find  s stop  x kill  r restart  f freeze
    ");
}

#[test]
fn on_a_large_terminal() {
    insta::assert_snapshot!(picture(&mut shown(), 200, 40), @r"
    kennel  shop                                                                                                                                                                                  03:04:05
    CPU ━━━━━━━━━━━━━━━━━━━━━━────────────────── 215% of 4 CPUs, load 2.31
    MEM ━━━━━━━━━━━━━━━━━━────────────────────── 717 MiB of 16.0 GiB, 9.0 GiB free
    7 services: 1 failed, 1 spinning, 1 frozen, 1 waiting, 2 ready, 1 completed · 9 processes · 17 threads · kennel itself 7.0 MiB

    SERVICE                                              PID   CPU%     TREND    MEM  PROC   THR  READ/s  WRIT/s    TIME   ● web  ready ───────────────────────── 1 overview  2 logs  3 events  4 receipt
    ▾ ● web       ready                                 4242   12.3   ▁▁▂▅▄▂▁   201M     6     9       0    1.2M   3h12m   run 7 · pid 4242 · for 3h12m · ports http:8080
      ├─ npm run dev                                    4242    0.0            50.0M           1                     12s   npm run dev
      │  ├─ sh -c vite --port 8080                      4250    0.1             1.0M           3                     12s
      │  │  └─ node /srv/shop/node_modules/.bin/vi…     4251   12.2             120M           1                     12s   CPU  12.3%                                                              of 200%
      │  │     └─ esbuild --service=0.21.5 --ping       4260    0.0            30.0M           1                     12s
      │  └─ node watch.js                               4255    0.0             9.0M           2                     12s                                                                              ▂
      └─ Z [escaped]                                    4299    0.0                0           1                     12s                                                                              █▂
    ▾ ▲ hog       spinning   memory limit in 40 s …     4242    203   ▁▁▁▃▂▁▄   500M     1     3       0    1.2M   3h12m                                                                             ▄██
      └─ ./hog                                          5000    203             500M           3                     12s                                                                           ▁▄████▂
    ▾ ● worker.1  ready                                 4242    0.0   ▁▁▂▅▄▂    8.0M     1     2       0    1.2M   3h12m   Memory  201 MiB                                                      of 256 MiB
      └─ worker                                         6001    0.0             8.0M           2                     12s
    ▾ ■ worker.2  frozen                                4242    0.0   ▁▁▂▅▄▂    8.0M     1     3       0    1.2M   3h12m                                                                                 ▇
      └─ worker                                         6002    0.0             8.0M           3                     12s                                                                                 █
      ↻ flaky     waiting    exit 3, retry in 3.0 s                                                                                                                                                      █
      ✗ db        failed     cannot execute `./dbd`: no such file                                                                                                                                        █
      ✓ migrate   completed                                                                                                processes 6 · 9 threads
                                                                                                                           CPU time  1m01
                                                                                                                           disk      reads 0/s (4.0 KiB) · writes 1.2M/s (3.0 GiB)
                                                                                                                           output    writes 210/s (1.0 MiB)
                                                                                                                           waits for CPU 0.4% · memory 0.0% · I/O 12.5%
                                                                                                                           source    cgroup

                                                                                                                           03:04:05  ready in 210 ms









    03:04:05  web  ready in 210 ms
    ? help  q quit  Enter logs  / find  s stop  x kill  r restart  f freeze  u start  d pane  o order as declared  Space open  e all
    ");
}

#[test]
fn the_keys() {
    let mut state = shown();
    state.mode = crate::state::Mode::Help;
    insta::assert_snapshot!(picture(&mut state, 80, 24), @r"
    ╭ Keys ────────────────────────────────────────────────────────────────────────╮
    │ ↑ ↓ j k PgUp PgDn  choose a line; scroll what Tab has chosen                 │
    │ Home End g G       the first, the last; End of a log follows it              │
    │ Space ← → e        open or close the processes of a service, of all          │
    │ Enter              the logs of the service; Esc comes back                   │
    │ 1 2 3 4            overview, logs, events, receipt of the last stop          │
    │ Tab                move among the lines, or in the pane                      │
    │ d z                show or hide the pane; give it all the room               │
    │ a w                logs and events of all; wrap long lines                   │
    │ / n N              find a name or command; in a log: text, next, back        │
    │ o O P M            next order, turn it round; order by CPU, by memory        │
    │ t                  charts of the looks, 15 minutes, 1 hour, 6, a day         │
    │ s x                stop, kill the service; SIGTERM, SIGKILL to a process     │
    │ r u f              restart, start, freeze or thaw the service                │
    │ m                  the mouse is for clicks here, or for marking text         │
    │ Ctrl-L             look again, and draw everything anew                      │
    │ Ctrl-Z             leave for a while: `fg` comes back                        │
    │ q Ctrl-C           leave; what runs is not touched                           │
    │                                                                              │
    │ CPU% is of one CPU. K M G are KiB MiB GiB. READ WRIT LOG are bytes a second. │
    │ TREND is CPU over time: the full height is one CPU, or 2, 4, 8 of them.      │
    │ TIME of a service is since its start; of a process, the CPU time it used.    │
    │ WAIT% is how long somebody waited for CPU, memory or a disk.                 │
    ╰──────────────────────────────────────────────────────────────────────────────╯
    ");
}

#[test]
fn details_below() {
    let mut state = shown();
    state.details = Some(true);
    state.select(7);
    insta::assert_snapshot!(picture(&mut state, 100, 30), @r"
    kennel  shop                                                                              03:04:05
    CPU ━━━━━━━━━━━━━━━━━─────────────── 215% of 4 CPUs, load 2.31
    MEM ━━━━━━━━━━━━━━────────────────── 717 MiB of 16.0 GiB, 9.0 GiB free
    7 services: 1 failed, 1 spinning, 1 frozen, 1 waiting, 2 ready, 1 completed · 9 processes

    SERVICE                                        CPU%     TREND    MEM   THR  READ/s  WRIT/s    TIME
    ▾ ● web       ready                            12.3   ▁▁▂▅▄▂▁   201M     9       0    1.2M   3h12m┃
      ├─ 4242 npm run dev                           0.0            50.0M     1                     12s┃
      │  ├─ 4250 sh -c vite --port 8080             0.1             1.0M     3                     12s┃
      │  │  └─ 4251 node /srv/shop/node_modules…   12.2             120M     1                     12s┃
      │  │     └─ 4260 esbuild --service=0.21.5…    0.0            30.0M     1                     12s┃
      │  └─ 4255 node watch.js                      0.0             9.0M     2                     12s┃
      └─ Z 4299 [escaped]                           0.0                0     1                     12s┃
    ▾ ▲ hog       spinning   memory limit in 40…    203   ▁▁▁▃▂▁▄   500M     3       0    1.2M   3h12m│
      └─ 5000 ./hog                                 203             500M     3                     12s│
    ▾ ● worker.1  ready                             0.0   ▁▁▂▅▄▂    8.0M     2       0    1.2M   3h12m│
      └─ 6001 worker                                0.0             8.0M     2                     12s│
    ▲ hog  spinning ───────────────────────────────────────── 1 overview  2 logs  3 events  4 receipt
    memory limit in 40 s at this rate
    run 7 · pid 4242 · for 3h12m
    doing     spinning
    limits    memory 536870912 (cgroup)
    CPU  203%                                                                                  of 400%

                                                                                               ▁▁▂▅▄▂█
    Memory  500 MiB                                                               of its limit 512 MiB
                                                                                                     █
                                                                                                     █
    03:04:05  web  ready in 210 ms
    ? help  q quit  Enter logs  / find  s stop  x kill  r restart  f freeze  u start  d pane
    ");
}

#[test]
fn as_text() {
    let options = Options {
        instance: "shop".into(),
        services: Vec::new(),
        every: std::time::Duration::from_secs(1),
        order: Order::Cpu,
        color: false,
        holds: false,
    };
    let text = crate::text(look(), &options, WORDS, Some(100));
    insta::assert_snapshot!(text, @r"
    kennel  shop                                                                                03:04:05
    CPU ━━━━━━━━━━━━━━━━━━─────────────── 215% of 4 CPUs, load 2.31
    MEM ━━━━━━━━━━━━━━─────────────────── 717 MiB of 16.0 GiB, 9.0 GiB free
    7 services: 1 failed, 1 spinning, 1 frozen, 1 waiting, 2 ready, 1 completed · 9 processes

    SERVICE                                         CPU%▾     TREND    MEM   THR  READ/s  WRIT/s    TIME
    ▾ ▲ hog       spinning   memory limit in 40 s…    203   ▁▁▁▃▂▁▄   500M     3       0    1.2M   3h12m
      └─ 5000 ./hog                                   203             500M     3                     12s
    ▾ ● web       ready                              12.3   ▁▁▂▅▄▂▁   201M     9       0    1.2M   3h12m
      ├─ 4242 npm run dev                             0.0            50.0M     1                     12s
      │  ├─ 4250 sh -c vite --port 8080               0.1             1.0M     3                     12s
      │  │  └─ 4251 node /srv/shop/node_modules/.…   12.2             120M     1                     12s
      │  │     └─ 4260 esbuild --service=0.21.5 -…    0.0            30.0M     1                     12s
      │  └─ 4255 node watch.js                        0.0             9.0M     2                     12s
      └─ Z 4299 [escaped]                             0.0                0     1                     12s
    ▾ ● worker.1  ready                               0.0   ▁▁▂▅▄▂    8.0M     2       0    1.2M   3h12m
      └─ 6001 worker                                  0.0             8.0M     2                     12s
    ▾ ■ worker.2  frozen                              0.0   ▁▁▂▅▄▂    8.0M     3       0    1.2M   3h12m
      └─ 6002 worker                                  0.0             8.0M     3                     12s
      ↻ flaky     waiting    exit 3, retry in 3.0 s
      ✗ db        failed     cannot execute `./dbd`: no such file
      ✓ migrate   completed
    ");
}

/// The youngest alert has a line of its own, whatever else there is.
#[test]
fn what_is_too_much_has_a_line() {
    let lines = |alerts: Vec<kennel_wire::Alert>, width, height| {
        let mut state = shown();
        if let Some(look) = &mut state.look {
            look.alerts = alerts;
        }
        picture(&mut state, width, height).lines().skip(3).take(4).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(lines(vec![alert("hog", None)], 80, 24), @r"
    7 services: 1 failed, 1 spinning, 1 frozen, 1 waiting, 2 ready, 1 completed
    ▲ hog  rule stack-memory: 9 memory, freeze

    SERVICE                            CPU%     TREND    MEM   THR  READ/s  WRIT/s
    ");
    insta::assert_snapshot!(lines(vec![alert("hog", None), alert("web", Some(4)), alert("hog", Some(40))], 80, 24), @r"
    7 services: 1 failed, 1 spinning, 1 frozen, 1 waiting, 2 ready, 1 completed
    ▲ hog  rule stack-memory: 9 memory, freeze  and 2 more

    SERVICE                            CPU%     TREND    MEM   THR  READ/s  WRIT/s
    ");
    insta::assert_snapshot!(lines(vec![alert("a-service-with-a-very-long-name", None), alert("hog", None)], 40, 24), @r"
    7 services: 1 failed, 1 spinning, 1 f…
    ▲ hog  rule stack-memory:…  and 1 more

    SERVICE                           CPU%
    ");
}

/// What was recorded in place of the looks, once the key is pressed and the answer is there.
#[test]
fn charts_of_an_hour() {
    let mut state = shown();
    state.details = Some(true);
    assert_eq!(typed(&mut state, "t"), Some(crate::keys::Wish::Look));
    typed(&mut state, "t");
    assert_eq!(state.span, Span::Hour);
    let before = picture(&mut state, 100, 30);
    assert!(before.contains("1 hour") && !before.contains('▂'), "nothing of another time: {before}");
    state.recalled(Span::Quarter, history(900));
    assert!(!picture(&mut state, 100, 30).contains('▂'), "the answer to another question");
    state.recalled(Span::Hour, history(3_600));
    insta::assert_snapshot!(picture(&mut state, 100, 30), @r"
    kennel  shop                                                                              03:04:05
    CPU ━━━━━━━━━━━━━━━━━─────────────── 215% of 4 CPUs, load 2.31
    MEM ━━━━━━━━━━━━━━────────────────── 717 MiB of 16.0 GiB, 9.0 GiB free
    7 services: 1 failed, 1 spinning, 1 frozen, 1 waiting, 2 ready, 1 completed · 9 processes

    SERVICE                                        CPU%    1 hour    MEM   THR  READ/s  WRIT/s    TIME
    ▾ ● web       ready                            12.3      ▁▃▄▆   201M     9       0    1.2M   3h12m┃
      ├─ 4242 npm run dev                           0.0            50.0M     1                     12s┃
      │  ├─ 4250 sh -c vite --port 8080             0.1             1.0M     3                     12s┃
      │  │  └─ 4251 node /srv/shop/node_modules…   12.2             120M     1                     12s┃
      │  │     └─ 4260 esbuild --service=0.21.5…    0.0            30.0M     1                     12s┃
      │  └─ 4255 node watch.js                      0.0             9.0M     2                     12s┃
      └─ Z 4299 [escaped]                           0.0                0     1                     12s┃
    ▾ ▲ hog       spinning   memory limit in 40…    203             500M     3       0    1.2M   3h12m│
      └─ 5000 ./hog                                 203             500M     3                     12s│
    ▾ ● worker.1  ready                             0.0             8.0M     2       0    1.2M   3h12m│
      └─ 6001 worker                                0.0             8.0M     2                     12s│
    ● web  ready ──────────────────────────────────────────── 1 overview  2 logs  3 events  4 receipt
    run 7 · pid 4242 · for 3h12m · ports http:8080
    npm run dev
    CPU  12.3%                                                                         1 hour, of 100%
                                                                                   ▁▁▁▂▂▂▃▃▃▃▄▄▄▄▅▅▅▆▆
                                                      ▁▁▁▁▁▂▂▂▃▃▃▃▄▄▄▅▅▅▆▆▆▆▇▇▇▇██████████████████████
    Memory  201 MiB                                                                 1 hour, of 512 MiB
                                                                                                    ▁▁
                                                      ▁▁▁▁▁▁▁▁▂▂▂▂▂▃▃▃▃▃▄▄▄▄▄▄▄▅▅▅▅▅▆▆▆▆▇▇▇▇▇▇▇███████
    processes 6 · 9 threads
    CPU time  1m01
    03:04:05  web  ready in 210 ms
    ? help  q quit  Enter logs  / find  s stop  x kill  r restart  f freeze  u start  d pane
    ");
    typed(&mut state, "ttt");
    assert!(picture(&mut state, 100, 30).contains("TREND"), "the looks again");
}

/// Whatever the size, and whatever is chosen.
#[test]
fn no_size_is_too_odd() {
    for (width, height) in [(1, 1), (0, 0), (5, 40), (20, 5), (21, 6), (40, 9), (79, 23), (151, 7), (500, 200)] {
        for details in [None, Some(true), Some(false)] {
            let mut state = shown();
            state.details = details;
            for _ in 0..15 {
                picture(&mut state, width, height);
                state.step(1);
            }
            state.mode = crate::state::Mode::Help;
            picture(&mut state, width, height);
        }
    }
}
