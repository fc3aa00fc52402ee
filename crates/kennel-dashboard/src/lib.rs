//! kennel's page for browsers, as it was built, inside the program.
//!
//! The sources are in `web/`, what is built of them is in `dist/`, and both are in the repository: nobody needs Node to build
//! kennel. A test holds that the one was built of the other. This crate knows neither HTTP nor any other crate of ours.

use std::borrow::Cow;
use std::fmt::Write as _;

use rust_embed::{Embed, Metadata};

/// Programs that are built for debugging read it from disk at each request, so the page can be worked on beside them.
#[derive(Embed)]
#[folder = "dist/"]
struct Dist;

/// One file of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What is in it.
    pub bytes: Cow<'static, [u8]>,
    /// For `Content-Type`.
    pub content_type: &'static str,
    /// For `ETag`, with its quotation marks: another one when anything in it is another.
    pub etag: String,
}

/// The file at the path of a request, with or without the slash before it; `index.html` for the empty one. None: there is none
/// of that name.
#[must_use]
pub fn file(path: &str) -> Option<File> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = if path.is_empty() { "index.html" } else { path };
    // What is in no program is not read from disk either.
    let is_plain = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    let content_type = content_type(path)?;
    let found = Dist::get(path).filter(|_| is_plain)?;
    Some(File { bytes: found.data, content_type, etag: etag(&found.metadata) })
}

/// What the page is made of; a file of another kind is none of it.
fn content_type(path: &str) -> Option<&'static str> {
    let (_, extension) = path.rsplit_once('.')?;
    Some(match extension {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

fn etag(metadata: &Metadata) -> String {
    let mut etag = String::from("\"");
    // Half of the hash tells files apart as well.
    for byte in &metadata.sha256_hash()[..16] {
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    etag
}
