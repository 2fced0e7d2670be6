//! Headers of a stream, and how a block of them is written.
//!
//! A block is a count, then name and value of each, all preceded by their lengths; several values of one name are one
//! text with NUL between them.

use crate::frame::ProtocolError;
use crate::limits::HEADERS_MAX;

/// Names (in lower case) and values, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    pub fn of(pairs: &[(&str, &str)]) -> Headers {
        Headers(pairs.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned())).collect())
    }

    /// The first value of a name that is given in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.split('\0').next().unwrap_or_default())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(64);
        block.extend_from_slice(&(self.0.len() as u32).to_be_bytes());
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            block.extend_from_slice(&(text.len() as u32).to_be_bytes());
            block.extend_from_slice(text.as_bytes());
        }
        block
    }

    pub(crate) fn read(block: &[u8]) -> Result<Headers, ProtocolError> {
        let mut rest = block;
        let count = number(&mut rest)?;
        if count > HEADERS_MAX {
            return Err(ProtocolError::Headers("too many"));
        }
        let mut headers = Vec::with_capacity(count);
        for _ in 0..count {
            let name = text(&mut rest)?;
            if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                return Err(ProtocolError::Headers("a name is empty or not in lower case"));
            }
            headers.push((name, text(&mut rest)?));
        }
        Ok(Headers(headers))
    }
}

fn number(rest: &mut &[u8]) -> Result<usize, ProtocolError> {
    let (first, tail) = rest.split_first_chunk::<4>().ok_or(ProtocolError::Headers("cut short"))?;
    *rest = tail;
    Ok(u32::from_be_bytes(*first) as usize)
}

fn text(rest: &mut &[u8]) -> Result<String, ProtocolError> {
    let length = number(rest)?;
    let (text, tail) = rest.split_at_checked(length).ok_or(ProtocolError::Headers("cut short"))?;
    *rest = tail;
    String::from_utf8(text.to_vec()).map_err(|_| ProtocolError::Headers("not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_read_as_they_were_written() {
        let headers = Headers::of(&[("streamType", "error"), ("port", "80\x0081")]);
        let block = headers.write();
        assert_eq!(block[..18], *b"\0\0\0\x02\0\0\0\x0astreamtype");
        let read = Headers::read(&block).unwrap();
        assert_eq!(read, headers);
        assert_eq!((read.get("port"), read.get("host")), (Some("80"), None));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for block in
            [&b""[..], b"\0\0\0\x01", b"\0\0\0\x01\xff\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\x01\0\0\0\0\0\0\0\0"]
        {
            assert!(matches!(Headers::read(block), Err(ProtocolError::Headers(_))), "{block:?}");
        }
        let upper = Headers(vec![("Port".to_owned(), String::new())]).write();
        assert!(Headers::read(&upper).is_err());
    }
}
