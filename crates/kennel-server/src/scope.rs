//! What a right is about that is for some services or owners alone.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;
use futures_util::StreamExt as _;
use kennel_access::covers;
use kennel_engine::Handle;
use kennel_wire::{OwnerStatus, Problem, ServiceStatus};
use serde::Deserialize;

use crate::access::Actor;
use crate::gate::forbidden;
use crate::query::pairs;
use crate::right;

/// So often it is looked whether an answer in which nothing comes may go on.
const LOOK: Duration = Duration::from_secs(5);

/// What a request is about, from where its route takes it: a name anywhere else means nothing.
#[derive(Debug, PartialEq, Eq)]
enum Meant {
    /// All, or nothing that a right can be for.
    More,
    /// These services or runs; at least one.
    Services(Vec<String>),
    /// What is declared as this service, which is nothing that runs for an owner.
    Declared(String),
    /// An owner, which may not be there yet.
    Owner(Named),
}

/// An owner as a request names it.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    parent: Option<String>,
}

/// Whether this actor may ask for what the request is about.
///
/// # Errors
/// `forbidden`; what the engine says if it cannot be asked.
pub(crate) async fn check(
    engine: &Handle,
    actor: &Actor,
    path: &str,
    parts: &Parts,
    body: &[u8],
) -> Result<(), Problem> {
    if !actor.is_bound() || is_about_itself(path) || is_covered(engine, actor, &meant(path, parts, body)?).await? {
        return Ok(());
    }
    let own: Vec<String> = [
        (!actor.services.is_empty()).then(|| actor.services.join(", ")),
        (!actor.owners.is_empty()).then(|| format!("what runs for {}", actor.owners.join(", "))),
    ]
    .into_iter()
    .flatten()
    .collect();
    Err(forbidden(format!("{} may ask for {} alone, by name", actor.name, own.join(" and "))))
}

/// What goes on for as long as what it is about runs for the owners of a right: a name is free again after its run.
pub(crate) struct Held {
    engine: Handle,
    actor: Actor,
    meant: Meant,
}

impl Held {
    /// None where it cannot become another's.
    pub(crate) fn of(engine: &Handle, actor: &Actor, path: &str, parts: &Parts) -> Option<Arc<Self>> {
        if actor.owners.is_empty() || is_about_itself(path) {
            return None;
        }
        let meant = meant(path, parts, &[]).ok().filter(|meant| matches!(meant, Meant::Services(_)))?;
        Some(Arc::new(Self { engine: engine.clone(), actor: actor.clone(), meant }))
    }

    /// The same answer, up to where it is about somebody else's.
    pub(crate) fn guard(self: Arc<Self>, response: Response) -> Response {
        if response.body().size_hint().exact().is_some() {
            return response;
        }
        let lost = Arc::clone(&self).lost();
        let guarded = response
            .map(|body| Body::from_stream(body.into_data_stream().take_while(move |_| Arc::clone(&self).holds())));
        right::until(guarded, lost)
    }

    async fn holds(self: Arc<Self>) -> bool {
        is_covered(&self.engine, &self.actor, &self.meant).await.unwrap_or(false)
    }

    async fn lost(self: Arc<Self>) {
        while Arc::clone(&self).holds().await {
            tokio::time::sleep(LOOK).await;
        }
    }
}

async fn is_covered(engine: &Handle, actor: &Actor, meant: &Meant) -> Result<bool, Problem> {
    match meant {
        Meant::More => Ok(false),
        Meant::Declared(name) => Ok(covers(&actor.services, name)),
        Meant::Services(names) => {
            let others: Vec<&String> = names.iter().filter(|name| !covers(&actor.services, name)).collect();
            if actor.owners.is_empty() || others.is_empty() {
                return Ok(others.is_empty());
            }
            let owners = engine.owners().await?;
            for name in others {
                // That there is none of that name is not told either.
                let Ok(found) = engine.service(name.clone()).await else { return Ok(false) };
                if !runs_for(&found, &owners, &actor.owners) {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Meant::Owner(_) if actor.owners.is_empty() => Ok(false),
        Meant::Owner(named) => Ok(may_name(named, &engine.owners().await?, &actor.owners)),
    }
}

/// Whether all of these run for one of `own`, or for an owner below one.
fn runs_for(found: &[ServiceStatus], owners: &[OwnerStatus], own: &[String]) -> bool {
    let is_own = |one: &ServiceStatus| {
        let owner = one.ad_hoc.as_ref().and_then(|about| about.owner.as_deref());
        owner.is_some_and(|owner| is_below(owner, owners, own))
    };
    !found.is_empty() && found.iter().all(is_own)
}

/// Whether an owner may be made or changed so: it is one of `own` or below one, and is put below no other.
fn may_name(named: &Named, owners: &[OwnerStatus], own: &[String]) -> bool {
    let there = owners.iter().find(|one| one.name == named.name);
    let parent_is_own = named.parent.as_deref().is_some_and(|parent| is_below(parent, owners, own));
    // Of one that is there its own word counts, not what is said of it now.
    let is_own = match there {
        Some(there) => is_below(&there.name, owners, own),
        None => own.contains(&named.name) || parent_is_own,
    };
    let stays = there.is_some_and(|there| there.parent == named.parent);
    is_own && (named.parent.is_none() || parent_is_own || stays)
}

/// Whether this is one of `own`, or an owner below one.
fn is_below(name: &str, owners: &[OwnerStatus], own: &[String]) -> bool {
    let parent = |name: &str| owners.iter().find(|one| one.name == name).and_then(|one| one.parent.as_deref());
    let mut line = std::iter::successors(Some(name), |name| parent(name)).take(owners.len() + 1);
    line.any(|name| own.iter().any(|one| one == name))
}

/// What anybody may ask who has shown a right.
fn is_about_itself(path: &str) -> bool {
    // Of operations it sees its own.
    matches!(path, "/v1/session" | "/v1/info" | "/v1/openapi.json" | "/v1/operations" | "/v1/operations/{id}")
}

fn meant(path: &str, parts: &Parts, body: &[u8]) -> Result<Meant, Problem> {
    // As it was sent: one that is encoded is nobody's name.
    let third = || parts.uri.path().split('/').nth(3).map(str::to_owned);
    Ok(match path {
        "/v1/services/{name}" if [Method::PUT, Method::DELETE].contains(&parts.method) => {
            third().map_or(Meant::More, Meant::Declared)
        }
        "/v1/services/{name}"
        | "/v1/services/{name}/{action}"
        | "/v1/services/{name}/receipts"
        | "/v1/services/{name}/config"
        | "/api/servers/{id}" => services(third().into_iter().collect()),
        "/v1/usage" | "/v1/usage/history" | "/v1/health" | "/v1/logs" | "/v1/events" => {
            let query = pairs(parts.uri.query()).map_err(|refusal| refusal.0)?;
            services(query.into_iter().filter(|(key, _)| *key == "service").map(|(_, name)| name).collect())
        }
        "/v1/start" | "/v1/stop" | "/v1/restart" | "/v1/kill" | "/v1/freeze" | "/v1/thaw" => services(asked(body)),
        "/v1/owners/{name}/renew" => third().map_or(Meant::More, |name| Meant::Owner(Named { name, parent: None })),
        // That the path names the same one is seen to where it is held.
        "/v1/owners" | "/v1/owners/{name}/hold" => owner(serde_json::from_slice(body).ok()),
        "/v1/runs" => owner(serde_json::from_slice::<For<Named>>(body).ok().map(|run| run.owner)),
        "/v1/clean" => {
            let name = serde_json::from_slice::<For<String>>(body).ok().map(|clean| clean.owner);
            owner(name.map(|name| Named { name, parent: None }))
        }
        _ => Meant::More,
    })
}

/// What is done for an owner.
#[derive(Deserialize)]
struct For<T> {
    owner: T,
}

fn services(names: Vec<String>) -> Meant {
    if names.is_empty() { Meant::More } else { Meant::Services(names) }
}

fn owner(named: Option<Named>) -> Meant {
    named.map_or(Meant::More, Meant::Owner)
}

/// What an action names; none if it means all, or cannot be read.
fn asked(body: &[u8]) -> Vec<String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Asked {
        services: Vec<String>,
        all: bool,
    }
    let Asked { services, all } = serde_json::from_slice(body).unwrap_or_default();
    if all { Vec::new() } else { services }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde_json::json;

    use super::*;

    fn owners(all: &[(&str, Option<&str>)]) -> Vec<OwnerStatus> {
        let one = |(name, parent): &(&str, Option<&str>)| {
            let text = json!({
                "name": name, "parent": parent, "state": "unbound", "since": "2026-01-02T03:04:05Z", "grace_ms": 1,
                "leases": [], "runs": 0, "runs_with_descendants": 0,
            });
            serde_json::from_value(text).unwrap()
        };
        all.iter().map(one).collect()
    }

    fn named(name: &str, parent: Option<&str>) -> Named {
        Named { name: name.to_owned(), parent: parent.map(str::to_owned) }
    }

    #[test]
    fn an_owner_has_those_below_it() {
        let all = owners(&[("a", None), ("b", Some("a")), ("c", Some("b")), ("x", None), ("round", Some("round"))]);
        let own = ["b".to_owned()];
        let below = ["b", "c", "a", "x", "round", "nobody", ""].map(|name| is_below(name, &all, &own));
        assert_eq!(below, [true, true, false, false, false, false, false]);
    }

    #[test]
    fn an_owner_is_made_and_changed_below_ones_own_alone() {
        let all = owners(&[("a", None), ("b", Some("a")), ("c", Some("b")), ("x", None)]);
        let own = ["b".to_owned(), "new".to_owned()];
        let may = |name, parent| may_name(&named(name, parent), &all, &own);
        assert!(may("b", None) && may("b", Some("a")), "it is below `a` already");
        assert!(may("c", None) && may("d", Some("c")) && may("new", None));
        assert!(!may("d", None) && !may("d", Some("x")) && !may("d", Some("nobody")));
        assert!(!may("x", Some("b")), "what is there is not drawn below one's own");
        assert!(!may("new", Some("x")) && !may("c", Some("x")), "nor what is one's own below others");
    }

    #[test]
    fn only_what_a_route_takes_counts() {
        let of = |path: &str, uri: &str, body: &str| {
            meant(path, &Request::get(uri).body(()).unwrap().into_parts().0, body.as_bytes()).unwrap()
        };
        let two = Meant::Services(vec!["web".into(), "db".into()]);
        assert_eq!(of("/v1/logs", "/v1/logs?service=web&service=db&tail=1", ""), two);
        assert_eq!(of("/v1/logs", "/v1/logs?name=web", ""), Meant::More);
        assert_eq!(of("/v1/stop", "/v1/stop?service=web", ""), Meant::More);
        assert_eq!(of("/v1/stop", "/v1/stop", r#"{"services":["web","db"]}"#), two);
        assert_eq!(of("/v1/stop", "/v1/stop", r#"{"services":["web"],"all":true}"#), Meant::More);
        assert_eq!(of("/v1/run", "/v1/run", r#"{"owner":{"name":"a"}}"#), Meant::More);
        let a = Meant::Owner(named("a", Some("b")));
        assert_eq!(of("/v1/runs", "/v1/runs", r#"{"owner":{"name":"a","parent":"b"},"command":[]}"#), a);
        for body in ["", "{}", r#"{"owner":null}"#, r#"{"owner":{"name":"a"},"owner":{"name":"x"}}"#] {
            assert_eq!(of("/v1/runs", "/v1/runs", body), Meant::More, "{body}");
        }
        assert_eq!(of("/v1/clean", "/v1/clean", "{}"), Meant::More);
        assert_eq!(of("/v1/clean", "/v1/clean", r#"{"owner":"a"}"#), Meant::Owner(named("a", None)));
        assert_eq!(of("/v1/owners/{name}/renew", "/v1/owners/a/renew", ""), Meant::Owner(named("a", None)));
    }
}
