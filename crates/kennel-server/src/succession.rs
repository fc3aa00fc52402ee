//! Another daemon in this one's place.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use axum::extract::State;
use axum::http::StatusCode;
use kennel_engine::Handle;
use kennel_wire::{Code, Problem, SuccessionRequest};

use crate::reply::Refusal;
use crate::routes::Body;

/// Has another daemon take the place of this one.
#[utoipa::path(
    post,
    path = "/v1/daemon/restart",
    tag = "daemon",
    operation_id = "restart_daemon",
    request_body = SuccessionRequest,
    responses((status = 204, description = "another daemon is ready to take the place of this one"), Refusal),
)]
pub(crate) async fn restart(
    State(engine): State<Handle>,
    Body(request): Body<SuccessionRequest>,
) -> Result<StatusCode, Refusal> {
    let program = request.program.as_deref().map(program).transpose()?;
    engine.succeed(program).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has the keeper run another program.
#[utoipa::path(
    post,
    path = "/v1/daemon/keeper",
    tag = "daemon",
    operation_id = "replace_keeper",
    request_body = SuccessionRequest,
    responses((status = 204, description = "the keeper runs that program"), Refusal),
)]
pub(crate) async fn keeper(
    State(engine): State<Handle>,
    Body(request): Body<SuccessionRequest>,
) -> Result<StatusCode, Refusal> {
    let Some(path) = request.program else {
        return Err(Problem::new(Code::BadRequest, "no `program` is given").into());
    };
    engine.replace_keeper(program(&path)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Opened here, where a mistake can be answered. It is executed as what was opened, whatever becomes of its name.
fn program(path: &Path) -> Result<OwnedFd, Problem> {
    let refused = |code, why: String| Problem::new(code, format!("cannot execute `{}`: {why}", path.display()));
    if !path.is_absolute() {
        return Err(refused(Code::BadRequest, "its path is not absolute".to_owned()));
    }
    let file = File::open(path).map_err(|error| refused(Code::NotFound, error.to_string()))?;
    let meta = file.metadata().map_err(|error| refused(Code::NotFound, error.to_string()))?;
    if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
        return Err(refused(Code::NotExecutable, "it is no executable file".to_owned()));
    }
    Ok(file.into())
}
