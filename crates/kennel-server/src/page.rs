//! The page for browsers, as it is built into the program. It is everybody's: nothing of this instance is in it.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{self, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::routes::no_route;

/// A file of it, or the answer to a route that there is none of.
pub(crate) async fn page(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let is_look = matches!(*request.method(), Method::GET | Method::HEAD);
    let Some(file) = kennel_dashboard::file(path).filter(|_| is_look) else { return no_route().await };
    let etag = HeaderValue::try_from(file.etag).ok();
    let known = request.headers().get(header::IF_NONE_MATCH);
    let mut response = match etag.is_some() && known == etag.as_ref() {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, file.content_type)], Body::from(file.bytes.into_owned())).into_response(),
    };
    let headers = response.headers_mut();
    // After an upgrade the page is another one.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.extend(etag.map(|etag| (header::ETAG, etag)));
    response
}
