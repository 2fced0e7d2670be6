//! `completion`: scripts for shells, and `__complete`, which the scripts ask for words.
//!
//! Invariant: what cannot be found out completes to nothing; a shell's line is no place for errors.

use crate::calls::{At, Selection, name_of};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::kubeconfig::Kubeconfig;
use std::io::Write;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// bash, zsh or fish
    shell: Vec<String>,
}

#[derive(clap::Args)]
pub(crate) struct Words {
    /// The words of the line, the one at the cursor last
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

const BASH: &str = r#"# bash completion for kubectl
__kubectl_complete() {
    local IFS=$'\n'
    COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1)" -- "${COMP_WORDS[COMP_CWORD]}"))
    [[ ${COMPREPLY[0]} == */ || ${COMPREPLY[0]} == *= ]] && compopt -o nospace
    [[ ${#COMPREPLY[@]} -eq 0 ]] && compopt -o default
}
complete -F __kubectl_complete kubectl
"#;
const ZSH: &str = r#"#compdef kubectl
_kubectl() {
    local -a found
    local line
    while IFS=$'\t' read -r name about; do
        [[ -n $name ]] && found+=("${name//:/\\:}${about:+:$about}")
    done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#found} )); then _describe 'kubectl' found; else _files; fi
}
if [ "$funcstack[1]" = "_kubectl" ]; then _kubectl "$@"; else compdef _kubectl kubectl; fi
"#;
const FISH: &str = r#"# fish completion for kubectl
function __kubectl_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c kubectl -f -a '(__kubectl_complete)'
"#;

pub(crate) fn script(arguments: &Arguments) -> Result<()> {
    let script = match arguments.shell.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["bash"] => BASH,
        ["zsh"] => ZSH,
        ["fish"] => FISH,
        [] => return Err(Failure::message("Shell not specified.\nSee 'kubectl completion -h' for help and examples")),
        [other] => {
            return Err(Failure::message(format!(
                "Unsupported shell type {other:?}.\nSee 'kubectl completion -h' for help and examples"
            )));
        }
        _ => {
            return Err(Failure::message(
                "Too many arguments. Expected only the shell type.\nSee 'kubectl completion -h' for help and examples",
            ));
        }
    };
    std::io::stdout().write_all(script.as_bytes()).map_err(|_| Failure::Closed)
}

/// A word and what it is for.
type Candidate = (String, String);

/// What the words so far leave to be completed.
enum Wanted {
    /// Known without a server.
    Words(Vec<Candidate>),
    Kinds,
    /// Names of a kind; with the kind before a slash.
    Names {
        kind: String,
        slash: bool,
    },
    Namespaces,
    /// Those of a pod.
    Containers(String),
}

/// What `-o` may say where objects are printed.
const FORMATS: [&str; 14] = [
    "custom-columns",
    "custom-columns-file",
    "go-template",
    "go-template-file",
    "json",
    "jsonpath",
    "jsonpath-as-json",
    "jsonpath-file",
    "kyaml",
    "name",
    "template",
    "templatefile",
    "wide",
    "yaml",
];

/// Commands whose first argument is a pod or `TYPE/NAME`.
const OF_PODS: [&str; 7] = ["attach", "cp", "debug", "exec", "logs", "port-forward", "why"];
/// Commands whose first argument is a node.
const OF_NODES: [&str; 3] = ["cordon", "drain", "uncordon"];

/// Answers the words that need no server, and whether there were any.
pub(crate) fn without_server(kubeconfig: &mut Kubeconfig, arguments: &Words) -> Result<bool> {
    match wanted(kubeconfig, &arguments.words) {
        Wanted::Words(words) => print(&arguments.words, &words).map(|()| true),
        _ => Ok(false),
    }
}

pub(crate) async fn run(context: &Context, arguments: &Words) -> Result<()> {
    let words = &arguments.words;
    let found = match wanted_of_server(words) {
        Wanted::Words(words) => words,
        Wanted::Kinds => {
            let served = context.resources.served().await?;
            served.iter().map(|one| (one.def.plural.to_owned(), one.def.api_version())).collect()
        }
        Wanted::Namespaces => names(context, "namespaces", false).await?,
        Wanted::Names { kind, slash } => names(context, &kind, slash).await?,
        Wanted::Containers(pod) => containers(context, &pod).await?,
    };
    print(words, &found)
}

async fn names(context: &Context, kind: &str, slash: bool) -> Result<Vec<Candidate>> {
    let def = context.resources.named(kind).await?;
    let namespace = if def.namespaced() { context.namespace.as_str() } else { "" };
    let listed = context.list(At::collection(def, namespace), &Selection::default()).await?;
    let named = |name: &str| if slash { format!("{kind}/{name}") } else { name.to_owned() };
    Ok(listed.items.iter().map(|object| (named(name_of(object)), def.kind.to_owned())).collect())
}

async fn containers(context: &Context, pod: &str) -> Result<Vec<Candidate>> {
    let pods = context.resources.named("pods").await?;
    let name = pod.rsplit('/').next().unwrap_or(pod);
    let pod = context.get(At::object(pods, &context.namespace, name)).await?;
    let lists = ["initContainers", "containers", "ephemeralContainers"].map(|list| pod["spec"][list].as_array());
    let names = lists.into_iter().flatten().flatten().filter_map(|container| container["name"].as_str());
    Ok(names.map(|name| (name.to_owned(), String::new())).collect())
}

fn fixed(words: &[&str]) -> Wanted {
    Wanted::Words(words.iter().map(|word| ((*word).to_owned(), String::new())).collect())
}

/// Whether the word after this flag is its value.
fn takes_value(root: &clap::Command, definition: &clap::Command, word: &str) -> bool {
    let mut own = definition.get_arguments().chain(root.get_arguments());
    let found = match (word.strip_prefix("--"), word.strip_prefix('-')) {
        (Some(long), _) => own.find(|flag| flag.get_long() == Some(long)),
        (None, Some(short)) => {
            let last = short.chars().next_back();
            own.find(|flag| last.is_some() && flag.get_short() == last)
        }
        (None, None) => None,
    };
    found.is_some_and(|flag| flag.get_action().takes_values() && !flag.is_require_equals_set())
}

fn print(words: &[String], found: &[Candidate]) -> Result<()> {
    let begun = words.last().map_or("", String::as_str);
    let mut lines: Vec<String> = found
        .iter()
        .filter(|(word, _)| word.starts_with(begun))
        .map(|(word, about)| if about.is_empty() { format!("{word}\n") } else { format!("{word}\t{about}\n") })
        .collect();
    lines.sort();
    lines.dedup();
    std::io::stdout().write_all(lines.concat().as_bytes()).map_err(|_| Failure::Closed)
}

fn wanted(kubeconfig: &Kubeconfig, words: &[String]) -> Wanted {
    let entries = |list: &str| {
        let merged = kubeconfig.merged();
        let names = merged[list].as_array().into_iter().flatten().filter_map(|entry| entry["name"].as_str());
        Wanted::Words(names.map(|name| (name.to_owned(), String::new())).collect())
    };
    let before = words.len().checked_sub(2).map_or("", |index| words[index].as_str());
    match before {
        "--context" | "use-context" | "delete-context" | "rename-context" => entries("contexts"),
        "--cluster" | "delete-cluster" => entries("clusters"),
        "--user" | "delete-user" => entries("users"),
        _ => wanted_of_server(words),
    }
}

fn wanted_of_server(words: &[String]) -> Wanted {
    let Some((current, before)) = words.split_last() else { return Wanted::Words(Vec::new()) };
    if matches!(before.last().map(String::as_str), Some("-n" | "--namespace")) {
        return Wanted::Namespaces;
    }
    let root = crate::cli::definition();
    let (mut definition, mut arguments) = (&root, Vec::new());
    let (mut value_of, mut skips) = (None, false);
    for word in before {
        if std::mem::take(&mut skips) {
            value_of = None;
            continue;
        }
        if word.starts_with('-') {
            skips = !word.contains('=') && takes_value(&root, definition, word);
            value_of = skips.then_some(word.as_str());
            continue;
        }
        match definition.find_subcommand(word) {
            Some(found) if arguments.is_empty() => definition = found,
            _ => arguments.push(word.as_str()),
        }
    }
    match value_of {
        Some("-o" | "--output") => return fixed(&FORMATS),
        Some("--dry-run") => return fixed(&["client", "none", "server"]),
        Some("-c" | "--container") if !arguments.is_empty() => return Wanted::Containers(arguments[0].to_owned()),
        // Any other value is the user's own.
        Some(_) => return fixed(&[]),
        None => {}
    }
    if current.starts_with('-') {
        return Wanted::Words(flags(&root, definition));
    }
    let name = definition.get_name();
    if definition.has_subcommands() && arguments.is_empty() {
        let commands = definition.get_subcommands().filter(|command| !command.is_hide_set());
        let about = |command: &clap::Command| command.get_about().map(ToString::to_string).unwrap_or_default();
        return Wanted::Words(commands.map(|command| (command.get_name().to_owned(), about(command))).collect());
    }
    match (arguments.as_slice(), current.split_once('/')) {
        (_, Some((kind, _))) => Wanted::Names { kind: kind.to_owned(), slash: true },
        ([pod], None) if name == "logs" && !pod.contains('/') => Wanted::Containers((*pod).to_owned()),
        ([], None) if OF_PODS.contains(&name) => Wanted::Names { kind: "pods".to_owned(), slash: false },
        (_, None) if OF_NODES.contains(&name) => Wanted::Names { kind: "nodes".to_owned(), slash: false },
        ([], None) if name == "completion" => {
            Wanted::Words(["bash", "fish", "zsh"].map(|shell| (shell.to_owned(), String::new())).to_vec())
        }
        ([], None) => Wanted::Kinds,
        ([kind, ..], None) if !kind.contains('/') => Wanted::Names { kind: (*kind).to_owned(), slash: false },
        _ => Wanted::Words(Vec::new()),
    }
}

fn flags(root: &clap::Command, definition: &clap::Command) -> Vec<Candidate> {
    let own = definition.get_arguments().chain(root.get_arguments());
    let about = |flag: &clap::Arg| flag.get_help().map(ToString::to_string).unwrap_or_default();
    own.filter_map(|flag| Some((format!("--{}", flag.get_long()?), about(flag)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn words_follow_from_the_line() {
        let check = |line: &str| match wanted_of_server(&words(line)) {
            Wanted::Words(found) => found.into_iter().map(|(word, _)| word).collect::<Vec<_>>().join(" "),
            Wanted::Kinds => "KINDS".to_owned(),
            Wanted::Names { kind, slash } => format!("NAMES {kind} {slash}"),
            Wanted::Namespaces => "NAMESPACES".to_owned(),
            Wanted::Containers(pod) => format!("CONTAINERS {pod}"),
        };
        assert!(check("").contains("port-forward"));
        assert!(check("rollout ").contains("restart"));
        assert!(check("get --").contains("--output") && check("get --").contains("--kubeconfig"));
        for (line, expected) in [
            ("get ", "KINDS"),
            ("get pods ", "NAMES pods false"),
            ("describe deploy/", "NAMES deploy true"),
            ("logs ", "NAMES pods false"),
            ("drain ", "NAMES nodes false"),
            ("get pods -n ", "NAMESPACES"),
            ("get -o yaml -n x pods ", "NAMES pods false"),
            ("get -w=true pods -A ", "NAMES pods false"),
            ("logs web ", "CONTAINERS web"),
            ("exec -it web -c ", "CONTAINERS web"),
            ("get pods -l ", ""),
        ] {
            assert_eq!(check(line), expected, "{line}");
        }
    }
}
