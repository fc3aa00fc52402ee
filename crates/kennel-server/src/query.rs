//! Queries that axum's reader cannot take: keys that may stand several times.

use crate::reply::{Refusal, bad_request};

/// The parameters of a query in their order, decoded.
///
/// # Errors
/// `bad_request` for what is no UTF-8 or not encoded as RFC 3986 has it.
pub(crate) fn pairs(raw: Option<&str>) -> Result<Vec<(&str, String)>, Refusal> {
    let pairs = raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode(value).ok_or_else(|| bad_request(format!("`{pair}` is not valid")))?;
            Ok((key, value))
        })
        .collect()
}

/// What a key that is not known is answered with.
pub(crate) fn unknown(key: &str, known: &[&str]) -> Refusal {
    bad_request(format!("unknown parameter `{key}`; there are {}", known.join(", ")))
}

/// `+` stays itself, as it does in a time zone.
fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(bytes.next()?)? << 4 | digit(bytes.next()?)?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}
