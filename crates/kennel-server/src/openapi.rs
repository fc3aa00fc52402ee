//! The API as an OpenAPI document: checked in, served as it is, and compared with the routes by a test.

use axum::response::IntoResponse;

/// What a test has written from the routes and their types.
const DOCUMENT: &str = include_str!("../openapi.json");

/// This document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "daemon",
    operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)),
)]
pub(crate) async fn document() -> impl IntoResponse {
    ([("content-type", "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kennel_wire::{Problem, ServiceAction};
    use utoipa::OpenApi;

    use super::DOCUMENT;
    use crate::routes::TABLE;
    use crate::{
        audit, health, leases, metrics, notify, operations, owners, processes, registrations, servers, service,
        services, session, streams, succession, tokens, usage, webhooks,
    };

    #[derive(OpenApi)]
    #[openapi(
        info(
            title = "kennel",
            description = "Runs services and leaves no process behind. Every answer that is no success is a problem (RFC 9457) with a stable code.",
            license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
        ),
        paths(
            super::document,
            services::info,
            services::alerts,
            services::up,
            services::start,
            services::stop,
            services::restart,
            services::kill,
            services::freeze,
            services::thaw,
            services::down,
            services::reload,
            processes::run,
            processes::await_run,
            processes::signal_run,
            processes::signal_process,
            services::services,
            service::show,
            service::act,
            operations::list,
            operations::show,
            service::receipts,
            service::config,
            servers::list,
            servers::show,
            servers::act,
            servers::events,
            registrations::show,
            registrations::add,
            registrations::replace,
            registrations::register,
            registrations::unregister,
            registrations::export,
            registrations::import,
            services::ports,
            processes::orphans,
            processes::stop_orphans,
            processes::adopt_orphan,
            health::health,
            health::summary,
            usage::now,
            usage::history,
            metrics::metrics,
            streams::events,
            streams::logs,
            audit::list,
            owners::run_detached,
            owners::list,
            owners::open,
            owners::renew,
            owners::clean,
            owners::hold,
            leases::hold,
            succession::restart,
            succession::keeper,
            session::open,
            session::show,
            session::close,
            tokens::list,
            tokens::create,
            tokens::revoke,
            tokens::status,
            tokens::open,
            tokens::close,
            webhooks::list,
            webhooks::show,
            webhooks::register,
            webhooks::remove,
            webhooks::deliveries,
            webhooks::test,
            webhooks::retry,
            webhooks::secret,
            notify::test,
        ),
        components(schemas(Problem, ServiceAction)),
        tags(
            (name = "services", description = "The services of the configuration"),
            (name = "servers", description = "The same services as dashboards for servers know them"),
            (name = "runs", description = "Commands that are run once"),
            (name = "owners", description = "Who owns what, and leases"),
            (name = "processes", description = "Single processes, and those that nobody tracks"),
            (name = "monitoring", description = "Health, usage, alerts and ports"),
            (name = "logs", description = "What services write"),
            (name = "events", description = "What happens"),
            (name = "webhooks", description = "Where events are sent to"),
            (name = "access", description = "Who may come in over TCP: tokens, sessions and the door"),
            (name = "daemon", description = "The daemon itself"),
        ),
    )]
    struct Document;

    /// `KENNEL_UPDATE=1` writes it instead.
    #[test]
    fn the_document_is_that_of_the_routes() {
        let mut document = serde_json::to_value(Document::openapi()).unwrap();
        // One document for all versions of the program that serve the same routes.
        document["info"]["version"] = "1".into();
        let text = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
        if std::env::var_os("KENNEL_UPDATE").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json"), text).unwrap();
            return;
        }
        assert!(
            DOCUMENT == text,
            "openapi.json is not that of the routes: run this test with KENNEL_UPDATE=1 and look at the difference"
        );
    }

    #[test]
    fn every_route_is_in_it() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut documented = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            documented.extend(item.as_object().unwrap().keys().map(|method| (path.as_str(), method.as_str())));
        }
        assert_eq!(documented, TABLE.iter().map(|(path, method, _)| (*path, *method)).collect());
    }

    /// The list that configurations are checked with is made by hand, in a crate that does not know the events.
    #[test]
    fn every_kind_of_event_can_be_chosen_for_a_webhook() {
        fn name(kind: &serde_json::Value) -> Option<&str> {
            // One that has the fields of another type is put together of several.
            let parts = kind["allOf"].as_array().into_iter().flatten();
            std::iter::once(kind).chain(parts).find_map(|part| part["properties"]["event"]["enum"][0].as_str())
        }
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let kinds = document["components"]["schemas"]["EventKind"]["oneOf"].as_array().unwrap();
        let names: BTreeSet<&str> = kinds.iter().map(|kind| name(kind).unwrap()).collect();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), kennel_core::model::webhook::KINDS);
    }
}
