//! Everything that one node measured at one moment, and how it is sent.
//!
//! Bound: a sample of more pods, containers or bytes than the constants say is refused whole.

use crate::reading::Reading;
use crate::varint;

/// The first byte of every sample; a server refuses what it does not know.
const FORMAT: u8 = 1;
const PODS_MAX: usize = 10_000;
const CONTAINERS_MAX: usize = 1_000;
/// Kubernetes' names are at most 253 bytes; container ids and images are longer.
const TEXT_BYTES_MAX: usize = 1024;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSample {
    pub node: String,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    pub reading: Reading,
    pub pods: Vec<PodSample>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSample {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// Milliseconds since 1970; 0 where it is not known.
    pub started_ms: i64,
    pub reading: Reading,
    pub containers: Vec<ContainerSample>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerSample {
    pub name: String,
    /// Of the instance: counters begin anew with another.
    pub id: String,
    pub image: String,
    /// Milliseconds since 1970; 0 where it is not known.
    pub started_ms: i64,
    pub reading: Reading,
}

/// Why a sample is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    #[error("the sample is of format {0}, which this server does not know")]
    Format(u8),
    #[error("the sample breaks off, or is larger than a node's can be")]
    Malformed,
}

impl NodeSample {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + self.pods.len() * 256);
        out.push(FORMAT);
        varint::write_text(&mut out, &self.node);
        varint::write(&mut out, varint::zigzag(self.time_ms));
        self.reading.write(&mut out);
        varint::write(&mut out, self.pods.len() as u64);
        for pod in &self.pods {
            for text in [&pod.namespace, &pod.name, &pod.uid] {
                varint::write_text(&mut out, text);
            }
            varint::write(&mut out, varint::zigzag(pod.started_ms));
            pod.reading.write(&mut out);
            varint::write(&mut out, pod.containers.len() as u64);
            for container in &pod.containers {
                for text in [&container.name, &container.id, &container.image] {
                    varint::write_text(&mut out, text);
                }
                varint::write(&mut out, varint::zigzag(container.started_ms));
                container.reading.write(&mut out);
            }
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<NodeSample, SampleError> {
        let (format, mut rest) = bytes.split_first().ok_or(SampleError::Malformed)?;
        if *format != FORMAT {
            return Err(SampleError::Format(*format));
        }
        node(&mut rest).filter(|_| rest.is_empty()).ok_or(SampleError::Malformed)
    }
}

fn text(from: &mut &[u8]) -> Option<String> {
    varint::read_text(from, TEXT_BYTES_MAX)
}

fn count(from: &mut &[u8], most: usize) -> Option<usize> {
    usize::try_from(varint::read(from)?).ok().filter(|count| *count <= most)
}

fn moment(from: &mut &[u8]) -> Option<i64> {
    varint::read(from).map(varint::unzigzag)
}

fn node(from: &mut &[u8]) -> Option<NodeSample> {
    let (node, time_ms) = (text(from)?, moment(from)?);
    let reading = Reading::read(from)?;
    let pods = (0..count(from, PODS_MAX)?).map(|_| pod(from)).collect::<Option<_>>()?;
    Some(NodeSample { node, time_ms, reading, pods })
}

fn pod(from: &mut &[u8]) -> Option<PodSample> {
    let (namespace, name, uid) = (text(from)?, text(from)?, text(from)?);
    let started_ms = moment(from)?;
    let reading = Reading::read(from)?;
    let containers = (0..count(from, CONTAINERS_MAX)?).map(|_| container(from)).collect::<Option<_>>()?;
    Some(PodSample { namespace, name, uid, started_ms, reading, containers })
}

fn container(from: &mut &[u8]) -> Option<ContainerSample> {
    let (name, id, image) = (text(from)?, text(from)?, text(from)?);
    Some(ContainerSample { name, id, image, started_ms: moment(from)?, reading: Reading::read(from)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metric;

    #[test]
    fn samples_survive_the_way_and_broken_ones_are_refused() {
        let mut reading = Reading::default();
        reading.set(Metric::CpuUsage, 123_456);
        let container =
            ContainerSample { name: "web".into(), id: "c1".into(), image: "i".into(), started_ms: 5, reading };
        let pod = PodSample {
            namespace: "shop".into(),
            name: "web-0".into(),
            uid: "u1".into(),
            started_ms: -1,
            reading,
            containers: vec![container],
        };
        let sample = NodeSample { node: "n1".into(), time_ms: 1_700_000_000_123, reading, pods: vec![pod] };
        let bytes = sample.encode();
        assert_eq!(NodeSample::decode(&bytes), Ok(sample));
        for end in 0..bytes.len() {
            assert_eq!(NodeSample::decode(&bytes[..end]), Err(SampleError::Malformed), "cut at {end}");
        }
        assert_eq!(NodeSample::decode(&[9, 0]), Err(SampleError::Format(9)));
        let many = [FORMAT, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(NodeSample::decode(&many), Err(SampleError::Malformed));
    }
}
