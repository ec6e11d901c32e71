//! HTTP: a request's body within its limit, and an object's answer as a response.

use mailbus_spec::limits::{BODY_DRAIN_BYTES, BODY_MAX_BYTES};
use wasm_bindgen::{JsCast as _, JsValue};
use worker::{Error, Request, Response, Result, WebSocket};

use crate::{object, router};

use super::js::JsBody;

/// The header of the subprotocols of a WebSocket.
const PROTOCOL: &str = "sec-websocket-protocol";

/// Reads the body; nothing if it is longer than [`BODY_MAX_BYTES`]. One that is too large is read on and
/// dropped, up to [`BODY_DRAIN_BYTES`]: a client that is still sending would see a reset connection instead
/// of its answer.
pub(super) async fn read_body(request: &mut Request) -> Result<Option<Vec<u8>>> {
    let announced = request.headers().get("content-length")?.and_then(|text| text.parse().ok());
    if announced.is_some_and(|length: usize| length <= BODY_MAX_BYTES) {
        return request.bytes().await.map(Some);
    }
    let Some(body) = request.inner().body() else { return Ok(Some(Vec::new())) };
    let reader =
        JsValue::from(body).unchecked_into::<JsBody>().get_reader().map_err(Error::from)?;
    let mut whole = Vec::new();
    let mut length = 0_usize;
    while let Some(piece) = reader.read().await.map_err(Error::from)?.value() {
        length = length.saturating_add(usize::try_from(piece.length()).unwrap_or(usize::MAX));
        if length <= BODY_MAX_BYTES {
            whole.extend(piece.to_vec());
        } else {
            whole = Vec::new();
        }
        if length > BODY_DRAIN_BYTES {
            let _ = reader.cancel();
            break;
        }
    }
    Ok((length <= BODY_MAX_BYTES).then_some(whole))
}

/// True if a request asks to become a WebSocket.
pub(super) fn asks_for_upgrade(request: &Request, method: &str) -> Result<bool> {
    let upgrade = request.headers().get("upgrade")?;
    Ok(method == "GET" && upgrade.is_some_and(|name| name.eq_ignore_ascii_case("websocket")))
}

/// The answer that makes a WebSocket of the connection, whose other end this is.
pub(super) fn switch(request: &Request, client: WebSocket) -> Result<Response> {
    let response = Response::from_websocket(client)?;
    let offered = request.headers().get(PROTOCOL)?.unwrap_or_default();
    if let Some(protocol) = router::subprotocol(&offered) {
        response.headers().set(PROTOCOL, protocol)?;
    }
    Ok(response)
}

/// An answer of an object or of the router.
pub(super) fn respond(answer: object::Response) -> Result<Response> {
    let kind = if answer.status < 400 { "application/json" } else { "application/problem+json" };
    let response = Response::ok(answer.body)?.with_status(answer.status);
    let headers = response.headers();
    headers.set("content-type", kind)?;
    if let Some(seconds) = answer.retry_after {
        headers.set("retry-after", &seconds.to_string())?;
    }
    if let Some(methods) = answer.allow {
        headers.set("allow", methods)?;
    }
    if let Some(rows) = answer.charged {
        headers.set(object::CHARGED_HEADER, &rows.to_string())?;
    }
    match answer.status {
        401 => headers.set("www-authenticate", "Bearer")?,
        426 => headers.set("upgrade", "websocket")?,
        _ => {}
    }
    Ok(response)
}
