//! What was written and what happened; what went wrong.

use kennel_wire::{Code, Diagnostic, Problem};

use super::{lines, pretty};
use crate::render::samples;

#[test]
fn logs_and_events() {
    insta::assert_snapshot!(lines(&[samples::log("web", "listening on 8080")]), @r#"{"time":"2026-01-02T03:04:05.678Z","service":"web","stream":"stdout","line":"listening on 8080","complete":true}"#);
    let events = samples::events();
    insta::assert_snapshot!(lines(&events), @r#"
    {"seq":1,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"daemon.started","pid":20}
    {"seq":2,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"service.pending","waiting_for":["db healthy","migrate completed"]}
    {"seq":3,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"service.pending","waiting_for":[]}
    {"seq":4,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.started","pid":100,"identity":{"boot_id":"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0","pid":100,"start_ticks":123456,"inode":5000100,"scope":"web.1"}}
    {"seq":5,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.ready","after_ms":1234}
    {"seq":6,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.unhealthy","reason":"GET / answers 503"}
    {"seq":7,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.exited","pid":100,"exit":{"kind":"code","code":1}}
    {"seq":8,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"restart.scheduled","in_ms":400,"attempt":2}
    {"seq":9,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.stopping","reason":"requested"}
    {"seq":10,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"stop.stage","stage":"TERM"}
    {"seq":11,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.stuck","receipt":{"service":"web","instance":1,"scope":"web.1","boot_id":"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0","reason":"requested","started_at":"2026-01-02T03:04:05.678Z","duration_ms":20000,"exit":{"kind":"code","code":0},"stages":[{"name":"TERM","duration_ms":10000,"ended":0},{"name":"KILL","duration_ms":10000,"ended":0},{"name":"KILL sweep","duration_ms":10000,"ended":0},{"name":"stuck","duration_ms":10000,"ended":0}],"processes":[{"pid":4711,"start_ticks":123456,"command":"dd of=/mnt/x","main":true}],"left":1,"survivors":[{"pid":4711,"command":"dd of=/mnt/x","state":"D","wchan":"nfs_wait_bit_killable","stack":["nfs_wait_bit_killable","nfs_file_fsync","do_exit"],"tracer":99,"tracer_command":"gdb -p 4711"}]}}
    {"seq":12,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.down","receipt":{"service":"web","instance":1,"scope":"web.1","boot_id":"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0","reason":"requested","started_at":"2026-01-02T03:04:05.678Z","duration_ms":312,"exit":{"kind":"code","code":0},"stages":[{"name":"TERM","duration_ms":312,"ended":3}],"processes":[{"pid":100,"start_ticks":123456,"inode":5000100,"command":"npm run dev","exit":{"kind":"code","code":0},"stage":"TERM","main":true},{"pid":101,"start_ticks":123456,"inode":5000101,"command":"node server.js","exit":{"kind":"signal","signal":15},"stage":"TERM","main":false},{"pid":102,"exit":{"kind":"signal","signal":9},"stage":"KILL","main":false}],"left":0}}
    {"seq":13,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"service.completed"}
    {"seq":14,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"service.failed","reason":"exit 1"}
    {"seq":15,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"service.given_up","reason":"6 restarts within 60 s"}
    {"seq":16,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"service.stopped"}
    {"seq":17,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"daemon.recovered","scopes":3}
    {"seq":18,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"keeper.lost"}
    {"seq":19,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"shutdown.completed","left":0}
    {"seq":20,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.escaped","pid":103,"command":"escaped --daemon","cgroup":"/"}
    {"seq":21,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"store.recovered","file":"/s/store.db.damaged-20260102T030405.000Z","kept":90,"lost_from":91,"lost_to":95}
    {"seq":22,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"store.recovered","kept":90}
    {"seq":23,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"event.unreadable"}
    {"seq":24,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"orphan.found","orphan":{"pid":100,"start_ticks":123456,"inode":5000100,"command":"node server.js","user":"deploy","since":"2026-01-02T03:04:05.678Z","instance":"shop-1234abcd","service":"web","run":1,"scope":"web.1","known_by":["scope"],"sure":"certain","why":"it is in the cgroup of web.1","on_stop":"ended","on_start":"adopted"}}
    {"seq":25,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"orphan.killed","process":{"pid":100,"start_ticks":123456,"inode":5000100,"command":"node server.js","exit":{"kind":"signal","signal":9},"stage":"KILL","main":false}}
    {"seq":26,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"daemon.terminated","pid":19,"started_at":"2026-01-02T03:04:05.678Z"}
    {"seq":27,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"daemon.terminated","pid":19,"started_at":"2026-01-02T03:04:05.678Z","during":"SIGTERM"}
    {"seq":28,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"daemon.panicked","message":"index out of bounds","place":"driver/runs.rs:12"}
    {"seq":29,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"config.reloaded","added":["a","b"],"removed":[],"changed":["web"]}
    {"seq":30,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"config.reloaded","added":[],"removed":[],"changed":[]}
    {"seq":31,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"owner.opened","owner":"job-1"}
    {"seq":32,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"owner.opened","owner":"job-1.a","parent":"job-1"}
    {"seq":33,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"lease.taken","owner":"job-1","lease":"job-1/held.1"}
    {"seq":34,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"lease.lost","owner":"job-1","lease":"job-1/held.1","why":"closed"}
    {"seq":35,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"owner.grace","owner":"job-1","ends_in_ms":10000}
    {"seq":36,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"owner.held","owner":"job-1"}
    {"seq":37,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"owner.ended","owner":"job-1.a","reason":"parent_ended","ancestor":"job-1"}
    {"seq":38,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"shutdown.completed","left":0,"report":{"timestamp":"2026-01-02T03:04:05.678Z","reason":"SIGTERM","ok":false,"left":0,"duration_ms":1320,"cleanups":[{"name":"state","phase":"persist","outcome":"ok","duration_ms":2},{"name":"services","phase":"cleanup","outcome":"ok","duration_ms":310},{"name":"logs","phase":"drain","outcome":"timed_out","duration_ms":1000},{"name":"keeper","phase":"end","outcome":"failed","error":"broken pipe","duration_ms":1}]}}
    {"seq":39,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.frozen","by":"request"}
    {"seq":40,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.thawed","by":"stop"}
    {"seq":41,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.oom","kills":1,"limit":67108864,"peak":67108864,"curve":[{"before_ms":900,"bytes":62914560}]}
    {"seq":42,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.limit","limit":"pids","value":120,"bound":100,"action":"freeze"}
    {"seq":43,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"schedule.armed","next_at":"2026-01-02T03:04:05.678Z"}
    {"seq":44,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"schedule.fired","next_at":"2026-01-02T03:04:05.678Z"}
    {"seq":45,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"schedule.skipped","why":"the run before has not ended"}
    {"seq":46,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"watch.begun"}
    {"seq":47,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"zombies.found","parent":100,"command":"node server.js","count":3}
    {"seq":48,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"watch.changed","paths":["src/a.rs"],"count":3,"action":"restart"}
    {"seq":49,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"watch.held","for_ms":30000}
    {"seq":50,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"watch.blind","reason":"the user's watches are used up"}
    {"seq":51,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"watch.failed","reason":"exit 1"}
    {"seq":52,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.health","health":"unhealthy","reason":"no answer within 1s"}
    {"seq":53,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.health","health":"healthy"}
    {"seq":54,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.activity","activity":"stalled","silent_ms":120000,"detail":"pid 812 (cc1), state D, in io_schedule"}
    {"seq":55,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"instance.activity","activity":"active","silent_ms":0}
    {"seq":56,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"logs.lost","bytes":4096,"reason":"no space left on device"}
    {"seq":57,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"logs.recovered","lost_bytes":123456}
    {"seq":58,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"logs.bound","policy":"block","bytes":67108864}
    {"seq":59,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"alert.raised","rule":"stack-processes","measure":"processes","value":112.0,"threshold":100.0,"action":"warn","culprits":[{"pid":812,"start_ticks":5000,"service":"web","command":"node vitest run","ancestry":[{"pid":100,"command":"npm test"}],"descendants":84,"cpu_percent":310.0,"memory_bytes":6442450944,"open_files":120}]}
    {"seq":60,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"alert.raised","rule":"stack-memory","measure":"memory","value":6442450944.0,"threshold":8589934592.0,"predicted_ms":40000,"action":"event"}
    {"seq":61,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"alert.escalated","rule":"pool","measure":"processes","value":112.0,"threshold":80.0,"action":"freeze"}
    {"seq":62,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"alert.escalated","rule":"spin","measure":"cpu","value":180.0,"threshold":90.0,"action":"throttle","refused":"there is no controller for it"}
    {"seq":63,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"alert.cleared","rule":"pool","measure":"processes","value":12.0,"lasted_ms":90000}
    {"seq":64,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"alert.cleared","rule":"pool","measure":"processes","lasted_ms":90000}
    {"seq":65,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"storm.brake","restarts":60,"window_ms":60000,"held_ms":3000}
    {"seq":66,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"logs.sink_failed","to":"/srv/web.log","reason":"no space left on device"}
    {"seq":67,"time":"2026-01-02T03:04:05.678Z","service":"web","instance":1,"event":"logs.sink_recovered","to":"journald","lost_bytes":123}
    {"seq":68,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"webhook.dead","webhook":"ops","id":"msg_4f1c_7","kind":"service.failed","tries":3,"reason":"cannot connect to 127.0.0.1:9: connection refused"}
    {"seq":69,"time":"2026-01-02T03:04:05.678Z","instance":1,"event":"webhook.disabled","webhook":"ops"}
    "#);
}

#[test]
fn errors() {
    let mut problem = Problem::new(Code::ConfigInvalid, "1 error in kennel.yaml").hint("see above");
    problem.diagnostics.push(Diagnostic {
        code: "unknown_key".into(),
        message: "unknown key `comand`".into(),
        file: "kennel.yaml".into(),
        line: 3,
        column: 5,
        span: (23, 29),
        help: Some("did you mean `command`?".into()),
    });
    insta::assert_snapshot!(pretty(&problem), @r#"
    {
      "code": "config_invalid",
      "status": 422,
      "detail": "1 error in kennel.yaml",
      "hint": "see above",
      "diagnostics": [
        {
          "code": "unknown_key",
          "message": "unknown key `comand`",
          "file": "kennel.yaml",
          "line": 3,
          "column": 5,
          "span": [
            23,
            29
          ],
          "help": "did you mean `command`?"
        }
      ]
    }
    "#);
}
