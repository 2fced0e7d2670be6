//! Which plugins judge and what the administrator tells them: flags in upstream's names, and an
//! `AdmissionConfiguration`.
//!
//! Invariant: what somebody asks for and does not get is an error at the start, never a plugin that is silently absent.

use super::opt_in::{event_rate, image_policy, node_selector, tolerations};
use super::resource_quota::LimitedResource;
use super::{PLUGINS, Standing, pod_security};
use crate::configuration_file::{self, ConfigurationError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Upstream's plugins that this server does not have. Turning one off is granted.
const NOT_BUILT: &[&str] = &[
    "JobValidation",
    "NodeDeclaredFeatureValidator",
    "PodGroupProtection",
    "PodGroupWorkloadExists",
    "PodResizeValidator",
];

/// As flags give them.
#[derive(Clone, Debug, Default)]
pub struct AdmissionOptions {
    pub enable: Vec<String>,
    pub disable: Vec<String>,
    pub config_file: Option<PathBuf>,
}

/// What the options come to.
#[derive(Clone, Debug, Default)]
pub struct Plugins {
    /// Of those that are on unless they are turned off.
    off: BTreeSet<String>,
    /// Of those that are off unless they are turned on.
    on: BTreeSet<String>,
    pub(super) pod_security: Arc<pod_security::Configuration>,
    pub(super) limited: Arc<[LimitedResource]>,
    pub(super) event_limits: Arc<[event_rate::Limit]>,
    pub(super) node_selectors: Arc<node_selector::Selectors>,
    pub(super) tolerations: Arc<tolerations::Configuration>,
    pub(super) image_policy: Option<Arc<image_policy::Configuration>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct AdmissionConfiguration {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    plugins: Vec<PluginConfiguration>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PluginConfiguration {
    name: String,
    /// Of another file, which is looked up only where nothing stands here; relative to this file.
    path: String,
    configuration: Option<Value>,
}

impl AdmissionOptions {
    /// # Errors
    /// Names that are unknown, contradict each other or are not built, and a file that says what no plugin understands.
    pub fn read(&self) -> Result<Plugins, ConfigurationError> {
        self.check_names()?;
        let set = |names: &[String]| names.iter().cloned().collect();
        let mut plugins = Plugins { off: set(&self.disable), on: set(&self.enable), ..Plugins::default() };
        if let Some(path) = &self.config_file {
            plugins.take_file(path)?;
        }
        plugins.check_configured()?;
        Ok(plugins)
    }

    fn check_names(&self) -> Result<(), ConfigurationError> {
        let mut wrong = Vec::new();
        for name in &self.enable {
            match standing(name) {
                Some(_) => {}
                None if NOT_BUILT.contains(&name.as_str()) => {
                    wrong.push(format!("enable-admission-plugins plugin {name:?} is not built into this server"));
                }
                None => wrong.push(format!("enable-admission-plugins plugin {name:?} is unknown")),
            }
        }
        for name in &self.disable {
            if standing(name).is_none() && !NOT_BUILT.contains(&name.as_str()) {
                wrong.push(format!("disable-admission-plugins plugin {name:?} is unknown"));
            }
        }
        let both: Vec<&str> =
            self.enable.iter().filter(|name| self.disable.contains(name)).map(String::as_str).collect();
        if !both.is_empty() {
            let both = both.join(" ");
            wrong.push(format!("[{both}] in enable-admission-plugins and disable-admission-plugins overlapped"));
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(ConfigurationError::Flags(wrong.join("; "))),
        }
    }
}

/// Of a plugin that may be turned on and off.
fn standing(name: &str) -> Option<Standing> {
    let row = PLUGINS.iter().find(|row| row.name == name);
    row.map(|row| row.standing).filter(|standing| *standing != Standing::Always)
}

impl Plugins {
    pub(super) fn has(&self, name: &str, standing: Standing) -> bool {
        match standing {
            Standing::Always => true,
            Standing::On => !self.off.contains(name),
            Standing::Off => self.on.contains(name),
        }
    }

    /// Refuses plugins that are wanted and cannot judge without being told how.
    fn check_configured(&self) -> Result<(), ConfigurationError> {
        let refuse = |name: &str, why: &str| {
            Err(ConfigurationError::Flags(format!("couldn't init admission plugin {name:?}: {why}")))
        };
        for name in &self.on {
            match name.as_str() {
                "EventRateLimit" if self.event_limits.is_empty() => {
                    return refuse(name, "limits: Invalid value: null: must not be empty");
                }
                "ImagePolicyWebhook" if self.image_policy.is_none() => return refuse(name, "no config specified"),
                _ => {}
            }
        }
        Ok(())
    }

    fn take_file(&mut self, path: &Path) -> Result<(), ConfigurationError> {
        let text = configuration_file::text(path)?;
        let file: AdmissionConfiguration =
            configuration_file::decode(path, &text, "AdmissionConfiguration", &["v1", "v1alpha1"])?;
        let mut seen = BTreeSet::new();
        for plugin in file.plugins {
            let unusable = |why: String| ConfigurationError::Unusable { path: path.to_owned(), why };
            if !seen.insert(plugin.name.clone()) {
                return Err(unusable(format!("the plugin {:?} is configured twice", plugin.name)));
            }
            let (own, content) = plugin.content(path)?;
            match plugin.name.as_str() {
                "PodSecurity" => self.pod_security = Arc::new(pod_security::Configuration::read(&own, content)?),
                "ResourceQuota" => self.limited = limited(&own, content)?.into(),
                "EventRateLimit" => self.event_limits = event_rate::read(&own, content)?.into(),
                "PodNodeSelector" => self.node_selectors = Arc::new(node_selector::read(&own, content)?),
                "PodTolerationRestriction" => self.tolerations = Arc::new(tolerations::read(&own, content)?),
                "ImagePolicyWebhook" => self.image_policy = Some(Arc::new(image_policy::read(&own, content)?)),
                name if standing(name).is_some() => match content {
                    None => {}
                    Some(_) => return Err(unusable(format!("the plugin {name:?} takes no configuration here"))),
                },
                name if NOT_BUILT.contains(&name) => {
                    return Err(unusable(format!("the plugin {name:?} is not built into this server")));
                }
                name => return Err(unusable(format!("the plugin {name:?} is unknown"))),
            }
        }
        Ok(())
    }
}

impl PluginConfiguration {
    /// Where the configuration stands, and what it is.
    fn content(&self, file: &Path) -> Result<(PathBuf, Option<Value>), ConfigurationError> {
        if self.configuration.is_some() || self.path.is_empty() {
            return Ok((file.to_owned(), self.configuration.clone()));
        }
        let path = file.parent().unwrap_or(Path::new("/")).join(&self.path);
        let content = serde_saphyr::from_str(&configuration_file::text(&path)?);
        let content =
            content.map_err(|error| ConfigurationError::Decode { path: path.clone(), why: error.to_string() })?;
        Ok((path, Some(content)))
    }
}

/// A plugin's own configuration; fields that it has not are errors.
pub(super) fn decoded<T: DeserializeOwned + Default>(
    path: &Path,
    content: Option<Value>,
    kind: &str,
    versions: &[&str],
) -> Result<T, ConfigurationError> {
    let Some(mut content) = content else { return Ok(T::default()) };
    let bad = |why: String| ConfigurationError::Decode { path: path.to_owned(), why };
    let fields = content.as_object_mut().ok_or_else(|| bad(format!("{kind} is no object")))?;
    let mut head =
        |name: &str| fields.remove(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    let (version, own) = (head("apiVersion"), head("kind"));
    if own != kind || !versions.contains(&version.as_str()) {
        return Err(bad(format!("no kind {own:?} is registered for version {version:?}")));
    }
    serde_json::from_value(content).map_err(|error| bad(error.to_string()))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct QuotaConfiguration {
    limited_resources: Vec<LimitedResource>,
}

fn limited(path: &Path, content: Option<Value>) -> Result<Vec<LimitedResource>, ConfigurationError> {
    let versions = ["apiserver.config.k8s.io/v1", "resourcequota.admission.k8s.io/v1beta1"];
    let kind = match content.as_ref().and_then(|content| content["kind"].as_str()) {
        // Its older name, of the older group.
        Some("Configuration") => "Configuration",
        _ => "ResourceQuotaConfiguration",
    };
    let own: QuotaConfiguration = decoded(path, content, kind, &versions)?;
    for (index, limited) in own.limited_resources.iter().enumerate() {
        if let Some(why) = limited.error() {
            let why = format!("limitedResources[{index}]: {why}");
            return Err(ConfigurationError::Unusable { path: path.to_owned(), why });
        }
    }
    Ok(own.limited_resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    #[track_caller]
    fn check(enable: &[&str], disable: &[&str], file: &str) -> Result<Plugins, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admission.yaml");
        std::fs::write(folder.path().join("quota.yaml"), QUOTA).unwrap();
        let config_file = (!file.is_empty()).then(|| {
            let head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\n";
            std::fs::write(&path, format!("{head}{file}")).unwrap();
            path.clone()
        });
        let options = AdmissionOptions { enable: names(enable), disable: names(disable), config_file };
        let folder = format!("{}/", folder.path().display());
        options.read().map_err(|error| error.to_string().replace(&folder, ""))
    }

    const QUOTA: &str = "apiVersion: apiserver.config.k8s.io/v1\nkind: ResourceQuotaConfiguration\n\
        limitedResources: [{resource: pods, matchScopes: [{scopeName: PriorityClass, operator: In, values: [high]}]}]\n";

    #[test]
    fn names_are_upstreams_and_checked() {
        let has = |enable: &[&str], disable: &[&str], name: &str| {
            let standing = standing(name).unwrap();
            check(enable, disable, "").unwrap().has(name, standing)
        };
        assert!(has(&["PodSecurity"], &["DefaultIngressClass", "JobValidation"], "PodSecurity"));
        assert!(!has(&[], &["PodSecurity"], "PodSecurity"));
        assert!(!has(&[], &[], "AlwaysPullImages"));
        assert!(has(&["AlwaysPullImages"], &[], "AlwaysPullImages"));
        for (enable, disable, says) in [
            (&["Nonsense"][..], &[][..], "enable-admission-plugins plugin \"Nonsense\" is unknown"),
            (
                &["PodGroupProtection"],
                &[],
                "enable-admission-plugins plugin \"PodGroupProtection\" is not built into this server",
            ),
            (
                &["ImagePolicyWebhook"],
                &[],
                "couldn't init admission plugin \"ImagePolicyWebhook\": no config specified",
            ),
            (
                &["EventRateLimit"],
                &[],
                "couldn't init admission plugin \"EventRateLimit\": limits: Invalid value: null: must not be empty",
            ),
            (&[], &["RBACEscalation"], "disable-admission-plugins plugin \"RBACEscalation\" is unknown"),
            (
                &["Priority"],
                &["Priority"],
                "[Priority] in enable-admission-plugins and disable-admission-plugins overlapped",
            ),
        ] {
            assert_eq!(check(enable, disable, "").unwrap_err(), says);
        }
    }

    #[test]
    fn files_say_what_plugins_understand_or_are_refused() {
        let read = check(&[], &[], "plugins: [{name: ResourceQuota, path: quota.yaml}]").unwrap();
        assert_eq!(read.limited.len(), 1);
        for (file, says) in [
            ("plugins: [{name: Nobody}]", "admission.yaml: the plugin \"Nobody\" is unknown"),
            (
                "plugins: [{name: PodGroupProtection}]",
                "admission.yaml: the plugin \"PodGroupProtection\" is not built into this server",
            ),
            (
                "plugins: [{name: EventRateLimit, configuration: {kind: Configuration, limits: [{type: User, qps: 1}], \
                 apiVersion: eventratelimit.admission.k8s.io/v1alpha1}}]",
                "admission.yaml: limits[0].burst: Invalid value: 0: must be positive",
            ),
            ("plugins: [{name: ImagePolicyWebhook}]", "admission.yaml: no config specified"),
            (
                "plugins: [{name: PodNodeSelector, configuration: {podNodeSelectorPluginConfig: {dev: env}}}]",
                "decoding admission.yaml: dev: invalid selector: [env]",
            ),
            (
                "plugins: [{name: Priority, configuration: {a: b}}]",
                "admission.yaml: the plugin \"Priority\" takes no configuration here",
            ),
            (
                "plugins: [{name: Priority}, {name: Priority}]",
                "admission.yaml: the plugin \"Priority\" is configured twice",
            ),
            (
                "plugins: [{name: PodSecurity, configuration: {kind: Other}}]",
                "decoding admission.yaml: no kind \"Other\" is registered for version \"\"",
            ),
        ] {
            assert_eq!(check(&[], &[], file).unwrap_err(), says);
        }
    }
}
