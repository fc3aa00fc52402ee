//! Where to, by the variables that every exporter understands, and one request.
//!
//! Source: OpenTelemetry specification, "OpenTelemetry Protocol Exporter" and "Environment Variable Specification".

use std::fmt;
use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Between two exports of metrics where nobody says it.
const EVERY: Duration = Duration::from_mins(1);
/// Longest time for one request where nobody says it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the environment asks for.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) endpoint: Endpoint,
    /// Between two exports of metrics.
    pub(super) every: Duration,
    /// Of the resource, besides ours.
    pub(super) attributes: Vec<(String, String)>,
}

/// A collector.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
    /// Before the path of a signal, without a slash at its end.
    base: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
}

impl fmt::Display for Endpoint {
    /// Without headers, which hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.base)
    }
}

/// Reads the environment; `None` if nothing is to be exported.
///
/// # Errors
/// What is asked for and cannot be had, one sentence.
pub(super) fn settings(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Settings>, String> {
    let Some(endpoint) = variable("OTEL_EXPORTER_OTLP_ENDPOINT") else { return Ok(None) };
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    if variable("OTEL_EXPORTER_OTLP_PROTOCOL").is_some_and(|protocol| protocol == "grpc") {
        return Err("OTEL_EXPORTER_OTLP_PROTOCOL is grpc, and kennel speaks http/json".to_owned());
    }
    let uri: Uri = endpoint.parse().map_err(|_| format!("OTEL_EXPORTER_OTLP_ENDPOINT is no address: {endpoint}"))?;
    if uri.scheme_str() != Some("http") {
        let why =
            "OTEL_EXPORTER_OTLP_ENDPOINT does not begin with http://: for encryption, put a collector beside kennel";
        return Err(why.to_owned());
    }
    let host = uri.host().ok_or("OTEL_EXPORTER_OTLP_ENDPOINT names no host")?.trim_matches(['[', ']']).to_owned();
    let millis = |name: &str, usual: Duration| match variable(name).map(|value| value.parse()) {
        None => Ok(usual),
        Some(Ok(0)) | Some(Err(_)) => Err(format!("{name} is no number of milliseconds")),
        Some(Ok(value)) => Ok(Duration::from_millis(value)),
    };
    let mut headers = Vec::new();
    for (name, value) in pairs(&variable("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default()) {
        let wrong = "OTEL_EXPORTER_OTLP_HEADERS has what cannot be a header";
        let name = HeaderName::try_from(name).map_err(|_| wrong)?;
        headers.push((name, HeaderValue::try_from(value).map_err(|_| wrong)?));
    }
    let mut attributes = pairs(&variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
    if let Some(name) = variable("OTEL_SERVICE_NAME") {
        attributes.retain(|(key, _)| key != "service.name");
        attributes.push(("service.name".to_owned(), name));
    }
    let endpoint = Endpoint {
        host,
        port: uri.port_u16().unwrap_or(80),
        base: uri.path().trim_end_matches('/').to_owned(),
        headers,
        timeout: millis("OTEL_EXPORTER_OTLP_TIMEOUT", TIMEOUT)?,
    };
    Ok(Some(Settings { endpoint, every: millis("OTEL_METRIC_EXPORT_INTERVAL", EVERY)?, attributes }))
}

/// `a=b,c=d`, values percent-encoded.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.trim().to_owned(), decoded(value.trim()))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Endpoint {
    /// Sends one document, on a connection of its own.
    ///
    /// # Errors
    /// Nobody listens, it takes too long, or the answer is no success.
    pub(super) async fn post(&self, path: &str, document: &Value) -> io::Result<()> {
        let body = serde_json::to_vec(document)?;
        tokio::time::timeout(self.timeout, self.exchange(path, body)).await.unwrap_or_else(|_| {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {:?}", self.timeout)))
        })
    }

    async fn exchange(&self, path: &str, body: Vec<u8>) -> io::Result<()> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let request = Request::builder().method(Method::POST).uri(format!("{}{path}", self.base));
        let mut request = request.header(HOST, format!("{}:{}", self.host, self.port));
        request = request.header(CONTENT_TYPE, "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(io::Error::other)?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(io::Error::other)?;
            let status = answer.status();
            // Read to its end, so that the collector is not told that we went away.
            let _body = answer.into_body().collect().await.map_err(io::Error::other)?;
            if status.is_success() { Ok(()) } else { Err(io::Error::other(format!("the answer is {status}"))) }
        };
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            biased;
            done = &mut answer => done,
            ended = connection => {
                ended.map_err(io::Error::other)?;
                // What it said last may be there already.
                answer.await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        settings(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_says_where_to() {
        assert!(read(&[]).unwrap().is_none());
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1]:4318/otlp/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b,x=y"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,deployment.environment=dev"),
            ("OTEL_SERVICE_NAME", "shop"),
        ]);
        let settings = settings.unwrap().unwrap();
        assert_eq!(settings.endpoint.to_string(), "http://::1:4318/otlp");
        assert_eq!(settings.endpoint.headers[0].1, "a b");
        assert_eq!(settings.every, Duration::from_millis(500));
        let attributes = [("deployment.environment", "dev"), ("service.name", "shop")];
        assert_eq!(settings.attributes, attributes.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_cannot_be_had_is_said() {
        let to = |endpoint| ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        for wrong in [
            vec![to("https://collector:4318")],
            vec![to("collector")],
            vec![to("http://c"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            vec![to("http://c"), ("OTEL_METRIC_EXPORT_INTERVAL", "soon")],
            vec![to("http://c"), ("OTEL_METRIC_EXPORT_INTERVAL", "0")],
            vec![to("http://c"), ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c")],
        ] {
            assert!(read(&wrong).is_err(), "{wrong:?}");
        }
        assert!(read(&[to("http://c"), ("OTEL_SDK_DISABLED", "true")]).unwrap().is_none());
    }
}
