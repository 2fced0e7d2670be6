//! Values whose text has a canonical form: quantities, times, bytes.

use super::time::{self, Precision};
use crate::quantity::Quantity;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use std::io::Write as _;

/// What to do with a text: keep it, or write this instead.
pub(super) type Canonical = Result<Option<String>, String>;

/// The canonical form of a quantity's text, `None` when it already is.
pub(super) fn quantity(text: &str) -> Canonical {
    // Go's decoder trims white space.
    let quantity = Quantity::parse(text.trim()).map_err(|error| error.to_string())?;
    let mut buffer = [0u8; 48];
    let mut rest: &mut [u8] = &mut buffer;
    // Longer than any canonical form of 128 bits: fall through to the allocating way.
    if write!(rest, "{quantity}").is_ok() {
        let left = rest.len();
        if buffer[..buffer.len() - left] == *text.as_bytes() {
            return Ok(None);
        }
    }
    Ok(Some(quantity.to_string()))
}

pub(super) fn time(text: &str, precision: Precision) -> Canonical {
    if time::is_canonical(text.as_bytes(), precision) {
        return Ok(None);
    }
    let canonical = time::canonical(text, precision)?;
    Ok((canonical != text).then_some(canonical))
}

/// Base64: Go skips line ends and ignores stray bits at the end, stricter decoders do not.
pub(super) fn bytes(text: &[u8]) -> Canonical {
    if is_strict_base64(text) {
        return Ok(None);
    }
    let lax = GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
    let stripped: Vec<u8> = text.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    match lax.decode(&stripped) {
        Ok(decoded) => Ok(Some(lax.encode(decoded))),
        Err(error) => Err(format!("illegal base64 data at input byte {}", position(&error, stripped.len()))),
    }
}

fn position(error: &base64::DecodeError, length: usize) -> usize {
    match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => length / 4 * 4,
    }
}

fn is_strict_base64(text: &[u8]) -> bool {
    if !text.len().is_multiple_of(4) {
        return false;
    }
    let padding = text.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let symbols = &text[..text.len() - padding];
    let last = symbols.last().map_or(0, |byte| VALUES[usize::from(*byte)]);
    let stray_bits = match padding {
        0 => 0,
        1 => last & 0b11,
        _ => last & 0b1111,
    };
    stray_bits == 0 && symbols.iter().fold(0, |all, byte| all | VALUES[usize::from(*byte)]) < 64
}

/// The value of each base64 symbol, 64 and above for others.
static VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [64u8; 256];
    let mut symbol = 0;
    while symbol < alphabet.len() {
        values[alphabet[symbol] as usize] = symbol as u8;
        symbol += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_made_strict() {
        let cases: [(&str, Result<Option<&str>, &str>); 8] = [
            ("", Ok(None)),
            ("YQ==", Ok(None)),
            ("YWI=", Ok(None)),
            ("YWJj", Ok(None)),
            ("YR==", Ok(Some("YQ=="))),
            ("YW\nJj\r\n", Ok(Some("YWJj"))),
            ("YW*j", Err("illegal base64 data at input byte 2")),
            ("YWJ", Err("illegal base64 data at input byte 0")),
        ];
        for (text, expected) in cases {
            let got = bytes(text.as_bytes());
            assert_eq!(got.as_ref().map(Option::as_deref).map_err(String::as_str), expected, "{text:?}");
        }
    }
}
