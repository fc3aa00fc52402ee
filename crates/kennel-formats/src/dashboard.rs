//! The state of a dashboard.

use indexmap::IndexMap;
use kennel_wire::DashboardServer;

use crate::Server;

/// Servers by their ids, as `{"server-id": {"id", "pid", "command", "cwd", "startTime", "status", "ports"}}`.
pub type Dashboard = IndexMap<String, DashboardServer>;

/// The servers as a dashboard has them.
#[must_use]
pub fn dashboard(servers: &[Server]) -> Dashboard {
    servers.iter().map(|server| (server.id.clone(), one(server))).collect()
}

fn one(server: &Server) -> DashboardServer {
    DashboardServer {
        id: server.id.clone(),
        pid: server.main.map(|main| main.identity.pid),
        command: shell_words::join(&server.command),
        cwd: server.cwd.to_string_lossy().into_owned(),
        start_time: server.main.map(|main| main.started_at.as_millisecond()),
        status: server.status,
        ports: server.ports.clone(),
    }
}
