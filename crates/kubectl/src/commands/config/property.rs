//! `config set` and `config unset`: one value by its path.
//!
//! Invariant: only what holds one value can be set; a path that leads to more, or to what a kubeconfig does not have, is
//! refused before anything is written.

use super::{entry, one, print};
use crate::failure::{Failure, Result};
use crate::kubeconfig::{Kubeconfig, LISTS};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

#[derive(clap::Args)]
pub(crate) struct Property {
    /// PATH and VALUE
    words: Vec<String>,
    /// The value is not base64, though it stands as such in the file
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    set_raw_bytes: bool,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Text,
    Bool,
    /// In base64.
    Bytes,
    /// Several values, which one cannot stand for.
    Many,
}

/// Where a path leads: a list, or nothing, and the path behind the entry's name.
const SHAPES: &[(&str, &str, Shape)] = &[
    ("", "current-context", Shape::Text),
    ("", "apiVersion", Shape::Text),
    ("", "kind", Shape::Text),
    ("", "preferences.colors", Shape::Bool),
    ("", "preferences", Shape::Many),
    ("", "extensions", Shape::Many),
    ("clusters", "server", Shape::Text),
    ("clusters", "tls-server-name", Shape::Text),
    ("clusters", "insecure-skip-tls-verify", Shape::Bool),
    ("clusters", "certificate-authority", Shape::Text),
    ("clusters", "certificate-authority-data", Shape::Bytes),
    ("clusters", "proxy-url", Shape::Text),
    ("clusters", "disable-compression", Shape::Bool),
    ("clusters", "extensions", Shape::Many),
    ("contexts", "cluster", Shape::Text),
    ("contexts", "user", Shape::Text),
    ("contexts", "namespace", Shape::Text),
    ("contexts", "extensions", Shape::Many),
    ("users", "client-certificate", Shape::Text),
    ("users", "client-certificate-data", Shape::Bytes),
    ("users", "client-key", Shape::Text),
    ("users", "client-key-data", Shape::Bytes),
    ("users", "token", Shape::Text),
    ("users", "tokenFile", Shape::Text),
    ("users", "as", Shape::Text),
    ("users", "as-uid", Shape::Text),
    ("users", "as-groups", Shape::Many),
    ("users", "as-user-extra", Shape::Many),
    ("users", "username", Shape::Text),
    ("users", "password", Shape::Text),
    ("users", "auth-provider", Shape::Many),
    ("users", "exec", Shape::Many),
    ("users", "exec.command", Shape::Text),
    ("users", "exec.apiVersion", Shape::Text),
    ("users", "exec.installHint", Shape::Text),
    ("users", "exec.interactiveMode", Shape::Text),
    ("users", "exec.provideClusterInfo", Shape::Bool),
    ("users", "exec.args", Shape::Many),
    ("users", "exec.env", Shape::Many),
    ("users", "extensions", Shape::Many),
];

impl Property {
    pub(super) fn run(&self, kubeconfig: &mut Kubeconfig) -> Result<()> {
        let [path, value] = self.words.as_slice() else {
            return Err(Failure::message(
                "Unexpected args: a path and a value are needed\nSee 'kubectl config set -h' for help and examples",
            ));
        };
        let steps = steps(kubeconfig, path)?;
        let value = self.value(&steps, path, value)?;
        let place = steps.place(kubeconfig);
        kubeconfig.change(place, |file| {
            *steps.within(file) = value;
            Ok(())
        })?;
        print(&format!("Property {path:?} set.\n"))
    }

    fn value(&self, steps: &Steps, path: &str, value: &str) -> Result<Value> {
        match steps.shape() {
            Some(Shape::Text) => Ok(value.into()),
            Some(Shape::Bool) => match value {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true.into()),
                "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false.into()),
                other => Err(Failure::message(format!("strconv.ParseBool: parsing {other:?}: invalid syntax"))),
            },
            Some(Shape::Bytes) if self.set_raw_bytes => Ok(STANDARD.encode(value).into()),
            Some(Shape::Bytes) => match STANDARD.decode(value) {
                Ok(_) => Ok(value.into()),
                Err(error) => Err(Failure::message(format!("error decoding input value: {error}"))),
            },
            Some(Shape::Many) => {
                let text = format!(
                    "can't set {path:?}, which holds several values, to one; name one of them, or use a command of config"
                );
                Err(Failure::message(text))
            }
            None => Err(unknown(path)),
        }
    }
}

fn unknown(path: &str) -> Failure {
    Failure::message(format!("unable to parse path {path:?}: a kubeconfig has no such value"))
}

pub(super) fn unset(kubeconfig: &mut Kubeconfig, words: &[String]) -> Result<()> {
    let path = one(words, "unset")?;
    let steps = steps(kubeconfig, path)?;
    if steps.shape().is_none() {
        return Err(unknown(path));
    }
    if let Some((list, _, name)) = &steps.entry
        && !steps.rest.is_empty()
        && kubeconfig.place_of(list, name).is_none()
    {
        return Err(Failure::message(format!("current map key `{name}` is invalid")));
    }
    let place = steps.place(kubeconfig);
    kubeconfig.change(place, |file| {
        steps.remove(file);
        Ok(())
    })?;
    print(&format!("Property {path:?} unset.\n"))
}

/// A path taken apart: into a list's entry, or of the file itself.
struct Steps {
    /// The list, its entries' own key, and the entry's name.
    entry: Option<(&'static str, &'static str, String)>,
    rest: Vec<String>,
}

/// Names of entries may have dots: the longest that is known wins.
fn steps(kubeconfig: &Kubeconfig, path: &str) -> Result<Steps> {
    let parts: Vec<&str> = path.split('.').collect();
    let owned = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<String>>();
    let Some((list, inner)) = LISTS.iter().find(|(list, _)| *list == parts[0]).copied() else {
        return Ok(Steps { entry: None, rest: owned(&parts) });
    };
    if parts.len() < 2 {
        return Ok(Steps { entry: None, rest: owned(&parts) });
    }
    let known = (2..=parts.len()).rev().find(|end| kubeconfig.place_of(list, &parts[1..*end].join(".")).is_some());
    // Of a new entry, what is behind the name is what a kubeconfig knows.
    let told = (2..parts.len()).find(|end| shape(list, &parts[*end..].join(".")).is_some());
    let end = known.or(told).unwrap_or_else(|| (parts.len() - 1).max(2));
    Ok(Steps { entry: Some((list, inner, parts[1..end].join("."))), rest: owned(&parts[end..]) })
}

fn shape(list: &str, path: &str) -> Option<Shape> {
    SHAPES.iter().find(|(own, known, _)| *own == list && *known == path).map(|(_, _, shape)| *shape)
}

impl Steps {
    /// Of what the path leads to; `None` where a kubeconfig has nothing there.
    fn shape(&self) -> Option<Shape> {
        match &self.entry {
            Some(_) if self.rest.is_empty() => Some(Shape::Many),
            Some((list, ..)) => shape(list, &self.rest.join(".")),
            None if self.rest.len() == 1 && LISTS.iter().any(|(list, _)| self.rest[0] == *list) => Some(Shape::Many),
            None => shape("", &self.rest.join(".")),
        }
    }

    fn place(&self, kubeconfig: &Kubeconfig) -> usize {
        match &self.entry {
            Some((list, _, name)) => kubeconfig.place_of(list, name).unwrap_or_default(),
            None => 0,
        }
    }

    fn within<'a>(&self, file: &'a mut Value) -> &'a mut Value {
        let mut at = match &self.entry {
            Some((list, inner, name)) => entry(file, list, inner, name).0,
            None => file,
        };
        for step in &self.rest {
            if !at.is_object() {
                *at = json!({});
            }
            at = &mut at[step];
        }
        at
    }

    /// Takes the value away; an entry that is not there is not made for that.
    fn remove(&self, file: &mut Value) {
        let Some((last, before)) = self.rest.split_last() else {
            if let Some((list, _, name)) = &self.entry
                && let Some(entries) = file[*list].as_array_mut()
            {
                entries.retain(|entry| entry["name"] != name.as_str());
            }
            return;
        };
        let holder = match &self.entry {
            Some((list, inner, name)) => {
                let mut entries = file.get_mut(*list).and_then(Value::as_array_mut).into_iter().flatten();
                entries.find(|entry| entry["name"] == name.as_str()).and_then(|entry| entry.get_mut(*inner))
            }
            None => Some(file),
        };
        let holder = before.iter().fold(holder, |at, step| at.and_then(|at| at.get_mut(step)));
        if let Some(members) = holder.and_then(Value::as_object_mut) {
            members.shift_remove(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const FILE: &str = "clusters: [{name: c.d, cluster: {server: s}}]\nusers: [{name: u, user: {exec: nonsense}}]\n";

    /// What the file is after each line, or why it was refused and left as it was.
    fn check(words: &[&str]) -> Result<Value, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, FILE).unwrap();
        let mut kubeconfig = Kubeconfig::load(Some(&path), Path::new("/nowhere")).unwrap();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let outcome = match words.as_slice() {
            [path] => unset(&mut kubeconfig, std::slice::from_ref(path)),
            _ => Property { words, set_raw_bytes: false }.run(&mut kubeconfig),
        };
        let after = std::fs::read_to_string(&path).unwrap();
        match outcome {
            Ok(()) => Ok(serde_saphyr::from_str(&after).unwrap()),
            Err(failure) => {
                assert_eq!(after, FILE, "what is refused is not written");
                Err(failure.report())
            }
        }
    }

    #[test]
    fn one_value_is_set_and_taken_out_by_its_path() {
        assert_eq!(check(&["clusters.c.d.server", "x"]).unwrap()["clusters"][0]["cluster"]["server"], "x");
        assert_eq!(
            check(&["users.new.name.token", "t"]).unwrap()["users"][1],
            json!({"name": "new.name", "user": {"token": "t"}})
        );
        assert_eq!(
            check(&["clusters.c.d.insecure-skip-tls-verify", "T"]).unwrap()["clusters"][0]["cluster"]["insecure-skip-tls-verify"],
            true
        );
        assert_eq!(check(&["clusters.c.d.server"]).unwrap()["clusters"][0]["cluster"], json!({}));
        assert_eq!(check(&["users.u.exec"]).unwrap()["users"][0]["user"], json!({}));
        assert!(check(&["users.gone.token"]).unwrap_err().contains("current map key `gone` is invalid"));
        assert_eq!(check(&["users"]).unwrap().get("users"), None);
    }

    #[test]
    fn what_holds_several_values_is_not_replaced_by_one() {
        for words in
            [["users", "x"], ["users.u", "x"], ["users.u.exec", "x"], ["users.u.exec.args", "x"], ["extensions", "x"]]
        {
            let report = check(&words).unwrap_err();
            assert!(report.contains("which holds several values"), "{words:?}: {report}");
        }
        for words in [["nope", "x"], ["users.u.nope", "x"]] {
            assert!(check(&words).unwrap_err().contains("no such value"), "{words:?}");
        }
        assert!(check(&["users.u.client-key-data", "%"]).unwrap_err().contains("error decoding input value"));
        assert!(check(&["clusters.c.d.insecure-skip-tls-verify", "x"]).unwrap_err().contains("invalid syntax"));
    }
}
