//! Names for new objects.

/// No vowels, so that no words come out, and no characters that look alike; as upstream.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
/// A name of 63 characters is a valid host name.
const BASE_LENGTH_MAX: usize = 63 - SUFFIX_LENGTH;

/// `base` and five characters that `seed` decides.
pub(crate) fn generate(base: &str, mut seed: u64) -> String {
    let mut cut = base.len().min(BASE_LENGTH_MAX);
    while !base.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut name = base[..cut].to_owned();
    for _ in 0..SUFFIX_LENGTH {
        let index = usize::try_from(seed % ALPHABET.len() as u64).expect("less than the alphabet's length");
        name.push(char::from(ALPHABET[index]));
        seed /= ALPHABET.len() as u64;
    }
    name
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_generated_name_fits_a_host_name() {
        assert_eq!(super::generate("web-", 0), "web-bbbbb");
        assert_eq!(super::generate("web-", 27), "web-bcbbb");
        assert_eq!(super::generate(&"x".repeat(300), 1).len(), 63);
    }
}
