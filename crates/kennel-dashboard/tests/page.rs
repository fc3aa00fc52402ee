//! What is served is what was built, and was built of what is here.
//!
//! covers: A6

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use kennel_dashboard::file;
use sha2::{Digest as _, Sha256};

/// What the page is built of, as `web/manifest.mjs` has it.
const SOURCES: [&str; 9] = [
    "index.html",
    "manifest.mjs",
    "package-lock.json",
    "package.json",
    "public",
    "src",
    "svelte.config.js",
    "tsconfig.json",
    "vite.config.ts",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All files below a path, relative to the root, with `/` between the parts.
fn files(root: &Path, path: &str, found: &mut Vec<String>) {
    if !root.join(path).is_dir() {
        found.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(root.join(path)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        files(root, &format!("{path}/{name}"), found);
    }
}

#[test]
fn it_was_built_of_the_sources_that_are_here() {
    let web = repository().join("web");
    let mut paths = Vec::new();
    for path in SOURCES {
        files(&web, path, &mut paths);
    }
    paths.retain(|path| !path.ends_with(".test.ts"));
    paths.sort();
    let mut hash = Sha256::new();
    for path in &paths {
        let bytes = fs::read(web.join(path)).unwrap();
        hash.update(format!("{path}\0{}\0", bytes.len()));
        hash.update(bytes);
    }
    let now: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let built = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/manifest.txt")).unwrap();
    assert_eq!(built.trim_end(), now, "the page is stale: `cd web && npm ci && npm run build`");
}

#[test]
fn the_page_and_all_that_it_asks_for() {
    let index = file("").unwrap();
    assert_eq!(index.content_type, "text/html; charset=utf-8");
    assert_eq!(Some(&index), file("/").as_ref());
    assert_eq!(Some(&index), file("/index.html").as_ref());
    let text = String::from_utf8(index.bytes.to_vec()).unwrap();
    let asked: Vec<&str> = text.split(['"']).filter(|part| part.starts_with('/')).collect();
    assert!(asked.len() >= 3, "{text}");
    for path in asked {
        let found = file(path).unwrap_or_else(|| panic!("{path} is not there"));
        assert!(
            found.etag.starts_with('"') && found.etag.len() == 34 && found.etag != index.etag,
            "{path}: {}",
            found.etag
        );
    }
    // A policy without `unsafe-inline` lets nothing of the kind pass.
    assert!(!text.contains("<style") && !text.contains(" style=") && !text.contains("<script>"), "{text}");
}

#[test]
fn types_by_their_names() {
    for (path, content_type) in [
        ("/assets/index.js", "text/javascript; charset=utf-8"),
        ("/assets/index.css", "text/css; charset=utf-8"),
        ("/assets/inter.woff2", "font/woff2"),
        ("/icon.svg", "image/svg+xml"),
        ("/inter-licence.txt", "text/plain; charset=utf-8"),
    ] {
        assert_eq!(file(path).map(|file| file.content_type), Some(content_type), "{path}");
    }
}

#[test]
fn nothing_else() {
    for path in
        ["/no-such.js", "/assets", "/assets/", "/../Cargo.toml", "/../src/lib.rs", "//index.html", "/./index.html"]
    {
        assert_eq!(file(path), None, "{path}");
    }
}
