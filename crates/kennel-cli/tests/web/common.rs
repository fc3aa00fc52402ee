use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use kennel_testkit::Scratch;
use serde_json::{Value, json};

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn up() -> Scratch {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(
        "services:\n  web: { command: ['@badchild@', --cell, '1', sleep] }\n  db: { command: ['@badchild@', --cell, '2', sleep] }\n",
    );
    scratch.ok(&["up", "-d"]);
    scratch
}

/// Opens the door.
pub(crate) fn open(scratch: &Scratch) -> Door {
    Door::of(scratch.json(&["dashboard", "--no-open", "--json"])["url"].as_str().unwrap())
}

/// Gives a right away, with these options; its header.
pub(crate) fn token(scratch: &Scratch, name: &str, options: &[&str]) -> String {
    let secret = scratch.ok(&[&["token", "create", name][..], options].concat()).stdout;
    format!("authorization: Bearer {}", secret.trim())
}

/// How everything in the audit came out.
pub(crate) fn outcomes(scratch: &Scratch) -> Vec<String> {
    let audit = scratch.json(&["audit", "-n", "10000", "--json"]);
    audit.as_array().unwrap().iter().map(|entry| entry["outcome"].as_str().unwrap().to_owned()).collect()
}

/// The secret of the login link of a report of `kennel dashboard`.
pub(crate) fn link(report: &Value) -> Value {
    let url = report["login_url"].as_str().unwrap();
    json!({ "login": url.split_once("#login=").unwrap().1 })
}

/// What a token's header proves, as a page that logs in sends it.
pub(crate) fn secret(right: &str) -> Value {
    json!({ "token": right.rsplit(' ').next() })
}

/// A session of a browser.
#[derive(Debug)]
pub(crate) struct Session {
    /// The answer that opened it.
    pub(crate) opened: Answer,
    /// Its headers: what a browser sends by itself, and what only the page knows.
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

/// A TCP door.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) authority: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: Vec<String>,
    /// Null without one.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.head.iter().filter_map(|line| line.split_once(": ")).find(|(key, _)| *key == name);
        found.map(|(_, value)| value)
    }
}

impl Door {
    pub(crate) fn of(url: &str) -> Self {
        let authority = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix('/'));
        Self { authority: authority.unwrap_or_else(|| panic!("{url}")).to_owned() }
    }

    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.authority)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(stream)
    }

    /// Opens a session with a login link or a token.
    pub(crate) fn log_in(&self, proof: &Value) -> Session {
        let opened = self.ask("POST", "/v1/session", &[], Some(proof));
        assert_eq!(opened.status, 200, "{opened:?}");
        let cookie = format!("cookie: {}", opened.header("set-cookie").unwrap().split(';').next().unwrap());
        let csrf = format!("x-kennel-csrf: {}", opened.body["csrf"].as_str().unwrap());
        Session { opened, cookie, csrf }
    }

    /// Sends a request as a program does; a body is JSON.
    pub(crate) fn ask(&self, method: &str, target: &str, head: &[&str], body: Option<&Value>) -> Answer {
        self.try_ask(method, target, head, body).expect("an answer")
    }

    pub(crate) fn try_ask(&self, method: &str, target: &str, head: &[&str], body: Option<&Value>) -> Option<Answer> {
        let body = body.map(Value::to_string);
        let mut lines = vec![format!("host: {}", self.authority)];
        if method != "GET" {
            lines.push("content-type: application/json".to_owned());
            lines.push(format!("content-length: {}", body.as_ref().map_or(0, String::len)));
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).chain(head.iter().copied()).collect();
        self.raw(method, target, &lines, body.unwrap_or_default().as_bytes())
    }

    /// Sends exactly this.
    pub(crate) fn raw(&self, method: &str, target: &str, head: &[&str], body: &[u8]) -> Option<Answer> {
        let mut stream = self.connect().ok()?;
        let head: String = head.iter().map(|line| format!("{line}\r\n")).collect();
        stream.write_all(format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n{head}\r\n").as_bytes()).ok()?;
        // It may have been answered before all of it is sent.
        let _refused = stream.write_all(body);
        let mut text = Vec::new();
        // After a refusal with bytes unread the connection is reset behind the answer.
        let _reset = stream.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        Some(Answer {
            status,
            head: lines.map(str::to_owned).collect(),
            body: serde_json::from_str(body).unwrap_or_else(|_| body.into()),
        })
    }
}
