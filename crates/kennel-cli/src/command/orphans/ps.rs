//! `kennel ps --orphans`.

use kennel_wire::OrphanReport;

use super::{find, meant, show};
use crate::context::Context;
use crate::failure::Failure;

pub(in crate::command) async fn ps(context: &mut Context) -> Result<u8, Failure> {
    let mut instances = Vec::new();
    for home in meant(context, false)? {
        instances.push(find(&home).await?);
    }
    show(context, &OrphanReport::of(instances), "no orphans\n")
}
