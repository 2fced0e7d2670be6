//! What becomes of a finished answer on its way to the client: indented for people, compressed for the network.
//!
//! Invariants: an answer that streams (a watch, a log, another server's body) goes as it is; the others are taken piece
//! by piece, so that a list of any length needs one piece and what the compression keeps.

use super::body::AnswerBody;
use super::indent::Indent;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body;
use std::io::Write;

/// Answers below this are not worth the time, as upstream has it.
const COMPRESSED_BYTES_MIN: u64 = 128 * 1024;
/// How much of a body that lies in memory is taken at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Programs that people read the output of.
const READ_BY_PEOPLE: [&str; 2] = ["curl/", "Wget/"];

type Pieces = Box<dyn Iterator<Item = Bytes> + Send>;

/// Whether the answer is to be indented: `pretty` says so, or else the program that asks.
pub(crate) fn is_pretty(pretty: Option<&str>, agent: &str) -> bool {
    match pretty.filter(|pretty| !pretty.is_empty()) {
        Some(pretty) => matches!(pretty, "1" | "t" | "T" | "true" | "TRUE" | "True"),
        None => READ_BY_PEOPLE.iter().any(|program| agent.starts_with(program)),
    }
}

/// JSON with a line for each value.
pub(crate) fn indented(response: Response<AnswerBody>) -> Response<AnswerBody> {
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|own| own == "application/json");
    if !is_json {
        return response;
    }
    with_pieces(response, |pieces| {
        let mut indent = Indent::default();
        Box::new(pieces.map(move |piece| Bytes::from(indent.piece(&piece))))
    })
}

/// Whether the client takes gzip.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        is_gzip && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// A large answer in gzip, if the client takes that.
pub(crate) fn compressed(asked: &HeaderMap, response: Response<AnswerBody>) -> Response<AnswerBody> {
    let is_large = response.body().size_hint().upper().is_none_or(|bytes| bytes >= COMPRESSED_BYTES_MIN);
    let is_plain = !response.headers().contains_key(header::CONTENT_ENCODING);
    if response.status() != StatusCode::OK || !is_large || !is_plain || !response.body().is_whole() {
        return response;
    }
    let mut response = response;
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if !takes_gzip(asked) {
        return response;
    }
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    with_pieces(response, |pieces| {
        Box::new(Gzip { pieces, encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())) })
    })
}

/// The body made anew from its pieces; of one that streams nothing is made.
fn with_pieces(response: Response<AnswerBody>, make: impl FnOnce(Pieces) -> Pieces) -> Response<AnswerBody> {
    if !response.body().is_whole() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body.remade(make))
}

impl AnswerBody {
    /// Whether it ends by itself and is this server's own.
    fn is_whole(&self) -> bool {
        match self {
            AnswerBody::Bytes(_) | AnswerBody::Chunks(_) | AnswerBody::Pieces(_) => true,
            AnswerBody::Stream(_) | AnswerBody::Proxied(_) => false,
            AnswerBody::Kept(body, _) => body.is_whole(),
        }
    }

    fn remade(self, make: impl FnOnce(Pieces) -> Pieces) -> AnswerBody {
        match self {
            AnswerBody::Bytes(bytes) if bytes.len() <= PIECE_BYTES => {
                // So short an answer is told the length of.
                let pieces: Vec<Bytes> = make(Box::new(std::iter::once(bytes))).collect();
                AnswerBody::Bytes(Bytes::from(pieces.concat()))
            }
            AnswerBody::Bytes(bytes) => AnswerBody::Pieces(make(Box::new(Cut(bytes)))),
            AnswerBody::Chunks(mut chunks) => {
                AnswerBody::Pieces(make(Box::new(std::iter::from_fn(move || chunks.next_chunk()))))
            }
            AnswerBody::Pieces(pieces) => AnswerBody::Pieces(make(pieces)),
            AnswerBody::Kept(body, kept) => AnswerBody::Kept(Box::new(body.remade(make)), kept),
            AnswerBody::Stream(_) | AnswerBody::Proxied(_) => self,
        }
    }
}

/// Bytes in memory, a piece at a time.
struct Cut(Bytes);

impl Iterator for Cut {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        (!self.0.is_empty()).then(|| self.0.split_to(self.0.len().min(PIECE_BYTES)))
    }
}

struct Gzip {
    pieces: Pieces,
    /// `None` when it has ended.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Iterator for Gzip {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            let encoder = self.encoder.as_mut()?;
            let Some(piece) = self.pieces.next() else {
                let rest = self.encoder.take()?.finish().expect("writing to memory does not fail");
                return Some(Bytes::from(rest));
            };
            encoder.write_all(&piece).expect("writing to memory does not fail");
            if !encoder.get_ref().is_empty() {
                return Some(Bytes::from(std::mem::take(encoder.get_mut())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Answer;
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    fn asked(encoding: &'static str) -> HeaderMap {
        [(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding))].into_iter().collect()
    }

    #[test]
    fn who_takes_gzip() {
        for (header, takes) in
            [("gzip", true), ("br, gzip;q=0.5", true), ("gzip;q=0", false), ("identity", false), ("", false)]
        {
            assert_eq!(takes_gzip(&asked(header)), takes, "{header}");
        }
    }

    #[tokio::test]
    async fn a_large_answer_is_compressed_for_who_takes_it() {
        let text = format!("[{}1]", "1234567890,".repeat(40_000));
        let response = compressed(&asked("gzip"), Answer::json(text.clone()).into_response());
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        let body = response.into_body().collect().await.unwrap();
        assert!(body.len() < text.len() / 10, "{} bytes", body.len());
        let mut plain = String::new();
        GzDecoder::new(&*body).read_to_string(&mut plain).unwrap();
        assert!(plain == text, "another text comes out");
        let response = compressed(&asked("identity"), Answer::json(text).into_response());
        assert_eq!(response.headers().get(header::CONTENT_ENCODING), None);
        assert_eq!(response.headers()[header::VARY], "Accept-Encoding");
    }

    #[test]
    fn small_answers_and_errors_are_not_compressed() {
        let response = compressed(&asked("gzip"), Answer::json("{}").into_response());
        assert_eq!(response.headers().get(header::CONTENT_ENCODING), None);
    }

    #[tokio::test]
    async fn an_indented_answer_is_told_the_length_of() {
        let response = indented(Answer::json(r#"{"a":[1]}"#).into_response());
        assert!(response.body().size_hint().exact().is_some());
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body, "{\n  \"a\": [\n    1\n  ]\n}");
    }

    #[test]
    fn who_reads_it() {
        for (pretty, agent, wanted) in [
            (Some("true"), "kubectl/1.37", true),
            (Some("1"), "", true),
            (Some("false"), "curl/8.0", false),
            (Some(""), "curl/8.0", true),
            (None, "Wget/1.21", true),
            (None, "kubectl/1.37", false),
        ] {
            assert_eq!(is_pretty(pretty, agent), wanted, "{pretty:?} {agent}");
        }
    }
}
