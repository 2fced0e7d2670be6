//! Charts: helm renders them, where the user lets it be run.
//!
//! Invariant: helm is run for a chart only, with folders of its own that are gone with the build; its words go nowhere
//! but into an error.

use super::accumulate::objects;
use super::file::HelmGlobals;
use super::loader::Root;
use super::resource::Set;
use crate::failure::{Failure, Result, go_words};
use crate::manifest;
use crate::print::yaml;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::process::Command;

const HOME: &str = "charts";
const MERGES: [&str; 3] = ["merge", "override", "replace"];

/// How helm may be run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Helm {
    pub(crate) is_enabled: bool,
    pub(crate) command: String,
    pub(crate) api_versions: Vec<String>,
    pub(crate) kube_version: String,
    pub(crate) debug: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Chart {
    name: String,
    version: String,
    repo: String,
    release_name: String,
    namespace: String,
    values_file: String,
    additional_values_files: Vec<String>,
    values_inline: Map<String, Value>,
    values_merge: String,
    #[serde(rename = "includeCRDs")]
    include_crds: bool,
    skip_hooks: bool,
    skip_tests: bool,
    api_versions: Vec<String>,
    kube_version: String,
    name_template: String,
    debug: bool,
    devel: bool,
    chart_home: String,
    config_home: String,
}

impl Helm {
    /// The objects of a chart that a kustomization names.
    pub(super) fn inflate(&self, root: &Root, chart: &Value, globals: Option<&HelmGlobals>) -> Result<Set> {
        let mut own: Chart = serde_json::from_value(chart.clone())
            .map_err(|error| Failure::message(format!("invalid Kustomization: {error}")))?;
        if let Some(globals) = globals {
            own.chart_home.clone_from(&globals.chart_home);
            own.config_home.clone_from(&globals.config_home);
        }
        self.check(&mut own).map_err(|why| {
            let mut told = chart.clone();
            if let (Some(told), Some(globals)) = (told.as_object_mut(), globals) {
                for (key, value) in [("chartHome", &globals.chart_home), ("configHome", &globals.config_home)] {
                    if !value.is_empty() {
                        told.insert(key.to_owned(), value.as_str().into());
                    }
                }
            }
            let told = yaml(&told);
            Failure::message(format!(
                "trouble configuring builtin HelmChartInflationGenerator with config: `\n{told}`: {why}"
            ))
        })?;
        let folder = tempfile::Builder::new().prefix("kustomize-helm-").tempdir();
        let folder = folder.map_err(|error| Failure::message(format!("unable to create tmp dir: {error}")))?;
        Rendering { helm: self, root, chart: own, folder: folder.path() }.run()
    }

    fn check(&self, chart: &mut Chart) -> Result<(), String> {
        if !self.is_enabled {
            return Err("must specify --enable-helm".to_owned());
        }
        if self.command.is_empty() {
            return Err("must specify --helm-command".to_owned());
        }
        if chart.name.is_empty() {
            return Err("chart name cannot be empty".to_owned());
        }
        // These stand alone on helm's command line, where a flag may name a program.
        if let Some(flag) = [&chart.name, &chart.release_name].into_iter().find(|word| word.starts_with('-')) {
            return Err(format!("{flag:?} is a flag and no name"));
        }
        if chart.chart_home.is_empty() {
            HOME.clone_into(&mut chart.chart_home);
        }
        if chart.values_merge.is_empty() {
            MERGES[1].clone_into(&mut chart.values_merge);
        }
        if !MERGES.contains(&chart.values_merge.as_str()) {
            return Err(format!("valuesMerge must be one of [{}]", MERGES.join(" ")));
        }
        chart.api_versions.extend(self.api_versions.iter().cloned());
        if !self.kube_version.is_empty() {
            chart.kube_version.clone_from(&self.kube_version);
        }
        chart.debug |= self.debug;
        Ok(())
    }
}

/// One chart on its way to objects.
struct Rendering<'a> {
    helm: &'a Helm,
    root: &'a Root,
    chart: Chart,
    folder: &'a Path,
}

impl Rendering<'_> {
    fn run(&self) -> Result<Set> {
        let version = self.helm(&["version".to_owned(), "--short".to_owned()])?;
        if !version.contains(|character: char| character.is_ascii_digit()) {
            return Err(Failure::message(format!("cannot find version string in {version}")));
        }
        if !self.place().is_dir() {
            self.pull()?;
        }
        let values = self.values()?;
        let printed = self.helm(&self.template(&values))?;
        let parse =
            |text: &str| objects(manifest::parse(text, "helm")?.into_iter().filter(|one| !one.is_null()).collect());
        // Helm may say something before the first document.
        parse(&printed).or_else(|failure| match printed.find("\n---\n") {
            Some(at) => parse(&printed[at..]),
            None => Err(failure),
        })
    }

    fn home(&self) -> PathBuf {
        let home = &self.chart.chart_home;
        let home = if self.chart.version.is_empty() || self.chart.repo.is_empty() {
            PathBuf::from(home)
        } else {
            Path::new(home).join(format!("{}-{}", self.chart.name, self.chart.version))
        };
        self.root.path.join(home)
    }

    fn place(&self) -> PathBuf {
        self.home().join(&self.chart.name)
    }

    fn pull(&self) -> Result<()> {
        let Chart { name, repo, version, .. } = &self.chart;
        if repo.is_empty() {
            return Err(Failure::message("no repo specified for pull, no chart found at ''"));
        }
        let home = self.home().display().to_string();
        let mut arguments = vec!["pull".to_owned(), "--untar".to_owned(), "--untardir".to_owned(), home];
        match repo.strip_prefix("oci://") {
            Some(_) => arguments.push(format!("{}/{name}", repo.trim_end_matches('/'))),
            None => arguments.extend(["--repo".to_owned(), repo.clone(), name.clone()]),
        }
        if !version.is_empty() {
            arguments.extend(["--version".to_owned(), version.clone()]);
        }
        self.helm(&arguments).map(|_| ())
    }

    /// The file with the values, the chart's own and the kustomization's.
    fn values(&self) -> Result<PathBuf> {
        let chart = &self.chart;
        let read = || {
            let path = match chart.values_file.as_str() {
                "" => self.place().join("values.yaml").display().to_string(),
                path => path.to_owned(),
            };
            self.root.read_text(&path)
        };
        let text = if chart.values_inline.is_empty() {
            read()?
        } else {
            let inline = Value::Object(chart.values_inline.clone());
            let merged = match chart.values_merge.as_str() {
                "replace" => inline,
                how => {
                    let mut own: Value = manifest::parse(&read()?, "values")?.into_iter().next().unwrap_or_default();
                    merge(&mut own, inline, how == "override");
                    own
                }
            };
            yaml(&merged)
        };
        let path = self.folder.join(format!("{}-kustomize-values.yaml", chart.name.replace('/', "-")));
        std::fs::write(&path, text)
            .map_err(|error| Failure::message(format!("failed to write values file: {}", go_words(&error))))?;
        Ok(path)
    }

    fn template(&self, values: &Path) -> Vec<String> {
        let chart = &self.chart;
        let mut arguments = vec!["template".to_owned()];
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
        add(&[if chart.release_name.is_empty() { "--generate-name" } else { &chart.release_name }]);
        add(&[&self.place().display().to_string()]);
        for (flag, value) in [("--namespace", &chart.namespace), ("--name-template", &chart.name_template)] {
            if !value.is_empty() {
                add(&[flag, value]);
            }
        }
        add(&["-f", &values.display().to_string()]);
        for file in &chart.additional_values_files {
            add(&["-f", &self.root.path.join(file).display().to_string()]);
        }
        for version in &chart.api_versions {
            add(&["--api-versions", version]);
        }
        if !chart.kube_version.is_empty() {
            add(&["--kube-version", &chart.kube_version]);
        }
        for (is_wanted, flag) in [
            (chart.include_crds, "--include-crds"),
            (chart.skip_tests, "--skip-tests"),
            (chart.skip_hooks, "--no-hooks"),
            (chart.debug, "--debug"),
            (chart.devel, "--devel"),
        ] {
            if is_wanted {
                add(&[flag]);
            }
        }
        arguments
    }

    fn helm(&self, arguments: &[String]) -> Result<String> {
        let home = match self.chart.config_home.as_str() {
            "" => self.folder.join("helm"),
            home => PathBuf::from(home),
        };
        let home = home.display();
        let variables = [
            ("HELM_CONFIG_HOME", home.to_string()),
            ("HELM_CACHE_HOME", format!("{home}/.cache")),
            ("HELM_DATA_HOME", format!("{home}/.data")),
        ];
        let command = &self.helm.command;
        let failed = |why: &str| {
            let shown: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let (line, shown) = (arguments.join(" "), shown.join(" "));
            Failure::message(format!(
                "unable to run: '{command} {line}' with env=[{shown}] (is '{command}' installed?): {why}"
            ))
        };
        let output = Command::new(command).args(arguments).envs(variables.clone()).output();
        let output = output.map_err(|error| failed(&format!("fork/exec {command}: {}", go_words(&error))))?;
        if !output.status.success() {
            return Err(failed(&String::from_utf8_lossy(&output.stderr)));
        }
        String::from_utf8(output.stdout).map_err(|_| failed("it printed no UTF-8 text"))
    }
}

/// Values beside values; of two of a name the inline one stays where it is to override.
fn merge(own: &mut Value, inline: Value, overrides: bool) {
    match (own, inline) {
        (Value::Object(own), Value::Object(inline)) => {
            for (key, value) in inline {
                match own.get_mut(&key) {
                    Some(known) => merge(known, value, overrides),
                    None => {
                        own.insert(key, value);
                    }
                }
            }
        }
        (own, inline) => {
            if overrides || own.is_null() {
                *own = inline;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_chart_is_no_flag_of_helms() {
        let helm = Helm { is_enabled: true, command: "helm".to_owned(), ..Helm::default() };
        for chart in [json!({"name": "--post-renderer=x"}), json!({"name": "c", "releaseName": "--post-renderer=x"})] {
            let mut chart = serde_json::from_value(chart).unwrap();
            assert_eq!(helm.check(&mut chart).unwrap_err(), "\"--post-renderer=x\" is a flag and no name");
        }
    }

    #[test]
    fn values_merge_as_they_are_told() {
        let own = || json!({"a": 1, "m": {"x": 1}});
        let inline = json!({"a": 2, "m": {"y": 2}});
        let merged = |overrides| {
            let mut own = own();
            merge(&mut own, inline.clone(), overrides);
            own
        };
        assert_eq!(merged(true), json!({"a": 2, "m": {"x": 1, "y": 2}}));
        assert_eq!(merged(false), json!({"a": 1, "m": {"x": 1, "y": 2}}));
    }
}
