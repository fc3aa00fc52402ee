//! The routes of `/v1`.

use axum::Router;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRef, FromRequest, FromRequestParts};
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use kennel_engine::Handle;
use kennel_wire::{Code, Problem, Role};

use crate::access::Access;
use crate::ending::Ending;
use crate::followers::Followers;
use crate::leases::{self, Leases};
use crate::operations::Operations;
use crate::refusals::Refusals;
use crate::registry::Registered;
use crate::repeats::Repeats;
use crate::reply::{Refusal, bad_request};
use crate::web::Web;
use crate::{
    audit, gate, health, metrics, notify, openapi, operations, owners, page, processes, registrations, repeats,
    servers, service, services, session, streams, succession, tokens, usage, webhooks,
};

/// A request carries an environment at most; Linux allows 2 MiB of it with its arguments.
pub(crate) const MAX_BODY_BYTES: usize = 8 << 20;

/// What routes work with.
#[derive(Clone, FromRef)]
pub(crate) struct Doors {
    pub(crate) engine: Handle,
    pub(crate) ending: Ending,
    pub(crate) leases: Leases,
    pub(crate) access: Access,
    pub(crate) web: Web,
    pub(crate) registered: Registered,
    pub(crate) operations: Operations,
    pub(crate) repeats: Repeats,
    pub(crate) followers: Followers,
    pub(crate) refusals: Refusals,
}

/// What somebody who comes over TCP has to be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing: it is asked before anybody is known.
    Anyone,
    Read,
    Operate,
    Admin,
}

impl Needs {
    pub(crate) fn role(self) -> Option<Role> {
        match self {
            Self::Anyone => None,
            Self::Read => Some(Role::Read),
            Self::Operate => Some(Role::Operate),
            Self::Admin => Some(Role::Admin),
        }
    }
}

/// A router of these routes, and their table: path, method and what it takes.
macro_rules! routes {
    ($($path:literal => $($method:ident $needs:ident $handler:path),+;)+) => {
        fn table() -> Router<Doors> {
            Router::new()$(.route($path, MethodRouter::new()$(.$method($handler))+))+
        }

        pub(crate) const TABLE: &[(&str, &str, Needs)] =
            &[$($(($path, stringify!($method), Needs::$needs),)+)+];
    };
}

routes! {
    "/v1/info" => get Read services::info;
    "/v1/openapi.json" => get Read openapi::document;
    "/v1/up" => post Admin services::up;
    "/v1/start" => post Operate services::start;
    "/v1/stop" => post Operate services::stop;
    "/v1/restart" => post Operate services::restart;
    "/v1/kill" => post Operate services::kill;
    "/v1/freeze" => post Operate services::freeze;
    "/v1/thaw" => post Operate services::thaw;
    "/v1/down" => post Admin services::down;
    "/v1/reload" => post Admin services::reload;
    "/v1/run" => post Admin processes::run;
    "/v1/runs" => post Admin owners::run_detached;
    "/v1/owners" => get Read owners::list, post Admin owners::open;
    "/v1/owners/{name}/hold" => post Admin owners::hold;
    "/v1/owners/{name}/renew" => post Operate owners::renew;
    "/v1/clean" => post Admin owners::clean;
    "/v1/run/{token}/signal" => post Admin processes::signal_run;
    "/v1/run/{token}/wait" => post Admin processes::await_run;
    "/v1/processes/{pid}/signal" => post Operate processes::signal_process;
    "/v1/services" => get Read services::services;
    "/v1/services/{name}/{action}" => post Operate service::act;
    "/v1/services/{name}/receipts" => get Read service::receipts;
    "/v1/operations" => get Read operations::list;
    "/v1/operations/{id}" => get Read operations::show;
    "/v1/state" => get Read registrations::export, post Admin registrations::import;
    "/api/servers" => get Read servers::list;
    "/api/servers/{id}" => get Read servers::show, post Operate servers::act;
    "/api/events" => get Read servers::events;
    "/v1/ports" => get Read services::ports;
    "/v1/services/{name}" => get Read service::show, put Admin registrations::register, delete Admin registrations::unregister;
    "/v1/services/{name}/config" => get Read service::config;
    "/v1/registry" => get Admin registrations::show, post Admin registrations::add, put Admin registrations::replace;
    "/v1/health" => get Read health::health;
    "/v1/summary" => get Read health::summary;
    "/v1/usage" => get Read usage::now;
    "/metrics" => get Read metrics::metrics;
    "/v1/usage/history" => get Read usage::history;
    "/v1/alerts" => get Read services::alerts;
    "/v1/logs" => get Read streams::logs;
    "/v1/events" => get Read streams::events;
    "/v1/audit" => get Operate audit::list;
    "/v1/orphans" => get Read processes::orphans;
    "/v1/orphans/stop" => post Operate processes::stop_orphans;
    "/v1/orphans/adopt" => post Operate processes::adopt_orphan;
    "/v1/lease" => post Admin leases::hold;
    "/v1/daemon/restart" => post Admin succession::restart;
    "/v1/daemon/keeper" => post Admin succession::keeper;
    "/v1/session" => get Anyone session::show, post Anyone session::open, delete Read session::close;
    "/v1/tokens" => get Admin tokens::list, post Admin tokens::create;
    "/v1/tokens/{name}" => delete Admin tokens::revoke;
    "/v1/webhooks" => get Read webhooks::list;
    "/v1/webhooks/{name}" => get Read webhooks::show, put Admin webhooks::register, delete Admin webhooks::remove;
    "/v1/webhooks/{name}/test" => post Admin webhooks::test;
    "/v1/webhooks/{name}/retry" => post Admin webhooks::retry;
    "/v1/webhooks/{name}/secret" => post Admin webhooks::secret;
    "/v1/notify/test" => post Admin notify::test;
    "/v1/deliveries" => get Read webhooks::deliveries;
    "/v1/web" => get Read tokens::status, post Admin tokens::open, delete Admin tokens::close;
}

/// What a route takes; everything for what is not in the table.
pub(crate) fn needs(path: &str, method: &Method) -> Needs {
    // What is asked by HEAD is asked by GET.
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let found = TABLE.iter().find(|(at, of, _)| *at == path && method.as_str().eq_ignore_ascii_case(of));
    found.map_or(Needs::Admin, |(.., needs)| *needs)
}

/// All routes.
pub(crate) fn router(doors: Doors) -> Router {
    table()
        .route_layer(from_fn_with_state(doors.clone(), audit::record))
        .route_layer(from_fn_with_state(doors.clone(), operations::later))
        .route_layer(from_fn_with_state(doors.clone(), repeats::once))
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(doors)
}

/// The same for whoever comes over TCP.
pub(crate) fn tcp_router(doors: Doors) -> Router {
    router(doors.clone()).fallback(page::page).layer(from_fn_with_state(doors, gate::pass))
}

/// A JSON body whose errors are problems as all others.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Refusal))]
pub(crate) struct Body<T>(pub(crate) T);

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        bad_request(rejection.body_text())
    }
}

/// A query whose errors are problems as all others.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Refusal))]
pub(crate) struct Query<T>(pub(crate) T);

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        bad_request(rejection.body_text())
    }
}

pub(crate) async fn no_route() -> Response {
    Refusal(Problem::new(Code::BadRequest, "no such route").with_status(404)).into_response()
}

async fn wrong_method() -> Response {
    Refusal(Problem::new(Code::BadRequest, "the route does not take this method").with_status(405)).into_response()
}
