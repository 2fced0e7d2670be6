//! What an administrator says of the server that is asked about images.

use crate::callout::Target;
use crate::configuration_file::ConfigurationError;
use crate::review_webhook::target_of_kubeconfig;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

pub(in crate::admission) struct Configuration {
    pub(super) target: Target,
    /// How long answers hold; zero: not at all.
    pub(super) allowed: Duration,
    pub(super) denied: Duration,
    /// Before it is asked again the first time.
    pub(super) pause: Duration,
    /// Of a server that cannot be asked.
    pub(super) default_allow: bool,
}

impl std::fmt::Debug for Configuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.target.url())
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct File {
    image_policy: Settings,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    #[serde(rename = "kubeConfigFile")]
    kubeconfig: String,
    /// In seconds; 0 is the default, -1 none.
    #[serde(rename = "allowTTL")]
    allowed: i64,
    #[serde(rename = "denyTTL")]
    denied: i64,
    /// In milliseconds; 0 is the default, -1 none.
    #[serde(rename = "retryBackoff")]
    pause: i64,
    #[serde(rename = "defaultAllow")]
    default_allow: bool,
}

/// A time as the file gives it, by its default and its unit; `more` and `most` are its bounds.
fn time(given: i64, default: Duration, unit: Duration, (more, most): (Duration, Duration)) -> Result<Duration, String> {
    let count = match given {
        -1 => return Ok(Duration::ZERO),
        0 => return Ok(default),
        given => u32::try_from(given).ok(),
    };
    let time = count.and_then(|count| unit.checked_mul(count)).filter(|time| *time > more && *time <= most);
    time.ok_or_else(|| format!("valid value is between {more:?} and {most:?}, got {given} times {unit:?}"))
}

/// # Errors
/// What does not read as the configuration, or names a server that cannot be asked.
pub(in crate::admission) fn read(path: &Path, content: Option<Value>) -> Result<Configuration, ConfigurationError> {
    let unusable = |why: String| ConfigurationError::Unusable { path: path.to_owned(), why };
    let content = content.ok_or_else(|| unusable("no config specified".to_owned()))?;
    let own: File = serde_json::from_value(content)
        .map_err(|error| ConfigurationError::Decode { path: path.to_owned(), why: error.to_string() })?;
    let own = own.image_policy;
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    let held = |given, default| time(given, default, second, (second, 30 * minute));
    let pause = Duration::from_millis(500);
    let pause = time(own.pause, pause, Duration::from_millis(1), (Duration::ZERO, 5 * minute));
    let kubeconfig = path.parent().unwrap_or(Path::new("/")).join(&own.kubeconfig);
    Ok(Configuration {
        target: target_of_kubeconfig(&kubeconfig)?,
        allowed: held(own.allowed, 5 * minute).map_err(unusable)?,
        denied: held(own.denied, 30 * second).map_err(unusable)?,
        pause: pause.map_err(unusable)?,
        default_allow: own.default_allow,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_defaults_and_bounds() {
        let second = Duration::from_secs(1);
        let held = |given| time(given, 30 * second, second, (second, 1800 * second));
        assert_eq!(held(0), Ok(30 * second));
        assert_eq!(held(-1), Ok(Duration::ZERO));
        assert_eq!(held(1800), Ok(1800 * second));
        for given in [1, 1801, -2] {
            assert!(held(given).unwrap_err().starts_with("valid value is between 1s and 1800s, got "));
        }
    }
}
