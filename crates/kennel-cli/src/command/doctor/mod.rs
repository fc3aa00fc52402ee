//! `kennel doctor`: what this machine gives, why not more, and what is wrong on it.
//!
//! Needs no daemon and starts none: what would run is found out by trying, what runs is asked.

mod desktop;
mod leftovers;
mod limits;
mod machine;
mod zombies;

use std::collections::BTreeMap;

use kennel_client::{ConnectError, Daemon, Home};
use kennel_core::model::Project;
use kennel_keeper::proto::Backend;
use kennel_keeper::{Probe, Situation, advise};
use kennel_sys::features::Answer;
use kennel_wire::{
    Advice, Containment, DaemonInfo, Doctor, Feature, FeatureCounts, Finding, ServiceStatus, State, Works,
};

use super::about::VERSION;
use crate::context::{Context, environment};
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::doctor::block;
use crate::render::fold::fold;
use crate::render::paint::DIM;

/// Without these nothing can be started or ended.
const NEEDED: [&str; 3] = ["clone3", "pidfd_open", "pidfd_send_signal"];

pub(super) async fn doctor(context: &mut Context) -> Result<u8, Failure> {
    let home = context.home()?;
    // Said beforehand: what is tried blocks, and it may make no other thread that could say it.
    context.screen.draw(&[("looking at this machine …".to_owned(), DIM)]);
    // Before a daemon is asked: whatever starts one ends what an earlier one left.
    let leftovers = leftovers::find(&home);
    let daemon = Daemon::connect(&home).await;
    let services = match &daemon {
        Ok(Some(daemon)) => daemon.services().await.unwrap_or_default(),
        _ => Vec::new(),
    };
    let info = daemon.as_ref().ok().and_then(Option::as_ref).map(|daemon| daemon.known().clone());
    // Nothing so far has made another thread. What a keeper would get is of interest where none runs, or where it tells what
    // the one that runs has got.
    let has_got = info.as_ref().is_none_or(|info| info.containment.backend == "cgroup");
    let probe = kennel_keeper::probe(home.name.as_ref(), has_got);
    let containment = info.as_ref().map_or_else(|| described(&probe.backend), |info| info.containment.clone());
    let mut findings = Vec::new();
    findings.extend(daemon.err().map(silent));
    findings.extend(too_old(&probe));
    let project = project(context);
    findings.extend(project.as_ref().and_then(|project| too_weak(project, &containment)));
    findings.extend(impossible(&containment));
    findings.extend(stuck(&services));
    findings.extend(leftovers.iter().filter(|one| one.here && !one.processes.is_empty()).map(leftovers::finding));
    findings.extend(info.as_ref().and_then(differs));
    let desktop = desktop::support().await;
    let is_wanted = project.is_some_and(|project| project.notify.desktop.is_some());
    findings.extend(desktop::not_shown(is_wanted, &desktop));
    let (supported, limits_advice) = (limits::support(&probe, &containment), limits::advice(&probe, &containment));
    let features: Vec<Feature> = probe.features.into_iter().map(feature).collect();
    let doctor = Doctor {
        ok: findings.is_empty(),
        findings,
        containment,
        cgroups: machine::cgroups(),
        kernel: machine::kernel(),
        feature_counts: FeatureCounts::of(&features),
        features,
        limits: supported,
        limits_advice,
        desktop,
        zombies: zombies::find().await,
        leftovers,
        instance: home.name.clone(),
        state_dir: home.state_dir.clone(),
        runtime_dir: home.runtime_dir.clone(),
        version: VERSION.to_owned(),
        daemon: info,
    };
    show(context, &doctor)?;
    Ok(if doctor.ok { exit_codes::OK } else { exit_codes::FAILED })
}

fn show(context: &mut Context, doctor: &Doctor) -> Result<(), Failure> {
    if context.global.json {
        return context.screen.json(doctor);
    }
    let text = block(doctor, context.global.verbose, context.screen.paint);
    let text = fold(&text, context.screen.width());
    context.screen.out(&text)
}

/// What a back end promises, as a daemon would say it.
fn described(backend: &Backend) -> Containment {
    let (because, reason) = match backend {
        Backend::Cgroup { .. } => (None, None),
        Backend::Reaper { reason, because } => (Some(because.clone()), Some(*reason)),
    };
    let advice = reason.and_then(|reason| advise(reason, &Situation::here()));
    Containment {
        backend: backend.word().to_owned(),
        promise: backend.promise(),
        limits: backend.limits().iter().map(|limit| (*limit).to_owned()).collect(),
        because,
        reason: reason.map(|reason| reason.as_str().to_owned()),
        advice: advice.map(|it| Advice { text: it.text, command: it.command }),
    }
}

fn feature(one: kennel_sys::features::Feature) -> Feature {
    let works = match one.answer {
        Answer::Yes => Works::Yes,
        Answer::No => Works::No,
        Answer::Unknown => Works::Unknown,
    };
    Feature { name: one.name.to_owned(), works, note: one.note }
}

fn finding(code: &str, text: impl Into<String>, advice: Option<Advice>) -> Finding {
    Finding { code: code.to_owned(), text: text.into(), advice }
}

fn silent(error: ConnectError) -> Finding {
    let advice = match &error {
        ConnectError::NoAnswer { keeper_pid: Some(pid), .. } => Some(Advice {
            text: "lets its keeper go on, if it is stopped".to_owned(),
            command: Some(format!("kill -CONT {pid}")),
        }),
        _ => None,
    };
    finding("daemon_silent", error.to_string(), advice)
}

fn too_old(probe: &Probe) -> Vec<Finding> {
    let missing = probe.features.iter().filter(|one| NEEDED.contains(&one.name) && one.answer == Answer::No);
    missing.map(|one| finding("kernel_too_old", format!("{}: {}", one.name, one.note), None)).collect()
}

/// The configuration here. One with errors is told by every other verb.
fn project(context: &Context) -> Option<Project> {
    let file = context.config_file().ok()?;
    let environment: BTreeMap<String, String> = environment();
    let options = kennel_config::LoadOptions { environment: &environment, profiles: &[] };
    kennel_config::load(&file, &options).ok()
}

/// Whether the configuration here asks for more than there is.
fn too_weak(project: &Project, containment: &Containment) -> Option<Finding> {
    let refused = machine::refused(project, containment)?;
    let text = format!("`require_containment: kernel` is not met here, so `up` refuses {refused}");
    Some(finding("containment_too_weak", text, containment.advice.clone()))
}

/// Whether the environment here asks for what is not there, so that not even the reaper is taken.
fn impossible(containment: &Containment) -> Option<Finding> {
    let wanted = std::env::var_os(kennel_keeper::CONTAINMENT).is_some_and(|wanted| wanted == "cgroup");
    let text = "KENNEL_CONTAINMENT=cgroup is set and no cgroup can be used, so nothing can be started";
    let is_met = !wanted || containment.backend == "cgroup";
    (!is_met).then(|| finding("containment_too_weak", text, containment.advice.clone()))
}

fn stuck(services: &[ServiceStatus]) -> Vec<Finding> {
    let stuck = services.iter().filter(|one| one.state == State::Stuck);
    let text = |one: &ServiceStatus| format!("{} {}", one.name, one.reason.as_deref().unwrap_or("cannot be ended"));
    stuck.map(|one| finding("stuck", text(one), None)).collect()
}

fn differs(info: &DaemonInfo) -> Option<Finding> {
    let advice = Advice {
        text: "brings them together; the services are started again".to_owned(),
        command: Some("kennel down && kennel up -d".to_owned()),
    };
    let text = format!("the daemon is kennel {}, this command is {VERSION}", info.version);
    (info.version != VERSION).then(|| finding("versions_differ", text, Some(advice)))
}

/// Directories of another instance of this user.
fn sibling(home: &Home, name: &str) -> Home {
    let beside = |dir: &std::path::Path| dir.parent().map_or_else(|| dir.to_owned(), |parent| parent.join(name));
    Home { name: name.to_owned(), state_dir: beside(&home.state_dir), runtime_dir: beside(&home.runtime_dir) }
}
