//! Owners below owners.

use kennel_testkit::{Scratch, both, wait_for, wait_until};
use serde_json::json;

use crate::common::{DEADLINE, detach, hold, living, owner, wait_owner};

both!(an_end_cascades_over_three_levels, what_is_refused);

fn an_end_cascades_over_three_levels(scratch: &Scratch) {
    let (mut held, input) = hold(scratch, &["top", "--grace", "300ms"]);
    detach(scratch, &["--owner", "top"], "1", "plain");
    detach(scratch, &["--owner", "mid", "--parent", "top"], "2", "daemon");
    // One that has a lease of its own ends with its parents all the same.
    detach(scratch, &["--owner", "low", "--parent", "mid", "--lease-ttl", "1h"], "3", "own-group");
    detach(scratch, &["--owner", "beside"], "4", "plain");
    wait_until(DEADLINE, "all of them", || (1..=4).all(|cell| living(scratch, cell) > 0));
    let top = owner(scratch, "top").unwrap();
    assert_eq!((&top["runs"], &top["runs_with_descendants"]), (&json!(1), &json!(3)));
    let shown = scratch.ok(&["owners"]).stdout;
    assert!(shown.contains("\n  mid ") && shown.contains("\n    low "), "{shown}");
    drop(input);
    held.wait(DEADLINE);
    wait_until(DEADLINE, "nothing of the three", || (1..=3).all(|cell| living(scratch, cell) == 0));
    assert_eq!(living(scratch, 4), 1);
    let low = wait_owner(scratch, "low", "ended");
    assert_eq!(low["ended"], json!({ "reason": "parent_ended", "ancestor": "top" }));
    // The last process is gone a moment before that is told.
    let down =
        wait_for(DEADLINE, "the end of three", || Some(scratch.events("instance.down")).filter(|down| down.len() >= 3));
    assert_eq!(down.len(), 3, "{down:?}");
    assert!(down.iter().all(|event| event["receipt"]["reason"] == "owner_ended" && event["receipt"]["left"] == 0));
    let cleaned = scratch.json(&["clean", "--owner", "top", "--json"]);
    assert_eq!(cleaned["owners"], json!(["low", "mid", "top"]));
    assert_eq!(cleaned["runs"].as_array().unwrap().len(), 3);
    // A name that is forgotten is free again.
    detach(scratch, &["--owner", "mid"], "2", "plain");
    scratch.down();
}

fn what_is_refused(scratch: &Scratch) {
    detach(scratch, &["--owner", "a"], "1", "plain");
    detach(scratch, &["--owner", "b", "--parent", "a"], "2", "plain");
    let refused = |options: &[&str], code: i32, word: &str| {
        let output = scratch.kennel(&[&["run", "-d"], options, &["--", "true"]].concat());
        assert_eq!(output.code(), code, "{options:?}: {}", output.all());
        assert!(output.stderr.contains(word), "{options:?}: {}", output.all());
    };
    refused(&["--owner", "a", "--parent", "b"], 125, "its own ancestor");
    refused(&["--owner", "c", "--parent", "nobody"], 125, "no owner `nobody`");
    refused(&["--owner", "../x"], 125, "cannot be the name of an owner");
    refused(&["--owner", "a", "--lifetime", "keep"], 125, "cannot end with an owner");
    refused(&["--lifetime", "owner"], 125, "needs an owner");
    refused(&["--lifetime", "call"], 125, "cannot be detached");
    refused(&["--name", "a.b"], 125, "cannot be the name of a run");
    refused(&["--owner", "d", "--lease-ttl", "1ms"], 125, "too short");
    assert_eq!((owner(scratch, "c"), owner(scratch, "d")), (None, None));
    scratch.ok(&["clean", "--owner", "b", "--timeout", "5s"]);
    assert_eq!((living(scratch, 1), living(scratch, 2)), (1, 0));
    scratch.down();
}
