//! gRPC's health check (`grpc.health.v1.Health/Check`), with the two tiny messages written by hand.

use super::http::connect;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};

const BODY_BYTES_MAX: usize = 4 << 10;
/// `ServingStatus.SERVING`.
const SERVING: u8 = 1;

/// `Ok(Ok)`: serving. `Ok(Err)`: it answers otherwise, or not at all. `Err`: the probe could not be made.
pub(crate) async fn check(address: &str, service: &str) -> Result<Result<(), String>, String> {
    let stream = match connect(address).await {
        Ok(stream) => stream,
        Err(error) => return Ok(Err(format!("error: failed to connect service at {address:?}: {error}"))),
    };
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = match handshake {
        Ok(pair) => pair,
        Err(error) => return Ok(Err(format!("error: health rpc failed: {error}"))),
    };
    let request = http::Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.37")
        .body(Full::new(request_frame(service)))
        .map_err(|error| error.to_string())?;
    let answered = async {
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let early = answer.headers().get("grpc-status").cloned();
        let body =
            Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
        let code = early.or_else(|| body.trailers().and_then(|trailers| trailers.get("grpc-status").cloned()));
        Ok::<_, String>((code, body.to_bytes()))
    };
    tokio::pin!(answered, connection);
    let result = tokio::select! {
        result = &mut answered => result,
        ended = &mut connection => match ended {
            Ok(()) => answered.await,
            Err(error) => Err(error.to_string()),
        },
    };
    Ok(result.map_err(|error| format!("error: health rpc failed: {error}")).and_then(|(code, body)| {
        let code = code.as_ref().and_then(|code| code.to_str().ok()).unwrap_or("0");
        match (code, serving_status(&body)) {
            ("0", SERVING) => Ok(()),
            ("0", other) => Err(format!("service unhealthy (responded with {:?})", status_name(other))),
            ("12", _) => {
                Err("error: this server does not implement the grpc health protocol (grpc.health.v1.Health)".into())
            }
            (code, _) => Err(format!("error: health rpc probe failed with status {code}")),
        }
    }))
}

/// A length-prefixed `HealthCheckRequest`. Service names are shorter than 128 bytes in any name that DNS allows;
/// a longer one is cut, and not found.
fn request_frame(service: &str) -> Bytes {
    let service = &service.as_bytes()[..service.len().min(127)];
    let mut message = Vec::with_capacity(service.len() + 7);
    if !service.is_empty() {
        message.extend([0x0a, service.len() as u8]);
        message.extend(service);
    }
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame.into()
}

/// Field 1 of the `HealthCheckResponse`; an absent one is `UNKNOWN`.
fn serving_status(body: &[u8]) -> u8 {
    match body.get(5..) {
        Some([0x08, status, ..]) => *status,
        _ => 0,
    }
}

fn status_name(status: u8) -> &'static str {
    match status {
        1 => "SERVING",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed() {
        assert_eq!(request_frame("").as_ref(), [0, 0, 0, 0, 0]);
        assert_eq!(request_frame("ab").as_ref(), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(serving_status(&[0, 0, 0, 0, 2, 8, 1]), SERVING);
        assert_eq!(serving_status(&[0, 0, 0, 0, 0]), 0);
    }
}
