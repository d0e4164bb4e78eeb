//! CORS for the origins that the operator named: browsers then let their pages call, and read the answers.
//!
//! Without such an origin no header of this kind is ever sent. Cookies of browsers are no part of it: a page that needs a
//! token brings it itself.

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, VARY,
};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};

/// A page's origin that the operator named.
#[derive(Clone, Debug)]
pub(super) struct CrossOrigin(HeaderValue);

impl CrossOrigin {
    pub(super) fn new(origin: &str) -> Option<Self> {
        HeaderValue::from_str(origin).ok().map(Self)
    }

    /// The answer to a browser that asks before it calls.
    pub(super) fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let asks = request.method() == Method::OPTIONS
            && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        asks.then(|| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
            let asked = HeaderValue::from_static("authorization, content-type");
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked);
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
            self.allow(&mut response);
            response
        })
    }

    /// Lets the page read this answer.
    pub(super) fn allow(&self, response: &mut Response<Body>) {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.0.clone());
        response.headers_mut().append(VARY, HeaderValue::from_static("origin"));
    }
}
