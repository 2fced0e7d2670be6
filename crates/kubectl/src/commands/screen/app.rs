//! What the screen shows and what each key does to it.
//!
//! Invariant: keys change only this; what they ask of the server, of a shell or of an editor is returned as an action.

use super::feed::Source;
use super::filter::Filter;
use super::job::{Outcome, Request, words};
use super::keys::Key;
use super::table::Order;
use super::view::{Body, View};
use crate::context::Context;
use crate::live::LiveRow;
use crate::target::Target;
use api::{Kind, ResourceDef};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use std::sync::Arc;

/// The view below this one is forgotten: what is left out can be asked for again.
const VIEWS_MAX: usize = 16;
/// Those that digits choose.
const NAMESPACES_MAX: usize = 9;

pub(super) enum Prompt {
    Command(String),
    Filter(String),
}

/// A deletion that waits for a yes.
pub(super) struct Confirmation {
    pub(super) target: Target,
    /// Whether the yes is chosen.
    pub(super) yes: bool,
}

pub(super) enum Action {
    Nothing,
    Quit,
    Ask(Request),
    /// A command line of this client that has the terminal for itself.
    Run(Vec<String>),
}

pub(super) struct App {
    pub(super) context: Arc<Context>,
    /// Never empty; the last is shown.
    views: Vec<View>,
    pub(super) prompt: Option<Prompt>,
    pub(super) confirmation: Option<Confirmation>,
    /// What happened last, until a key is pressed; and whether it is an error.
    pub(super) message: Option<(String, bool)>,
    /// Those that were looked at, the last first.
    pub(super) namespaces: Vec<String>,
    /// Empty: all.
    pub(super) namespace: String,
}

const HELP: &str = "\
up, down, j, k   move              :KIND [NAMESPACE]
pgup, pgdn       by pages            another kind: :po :deploy :svc :no :ns
g, G             to the ends       /PATTERN
enter            one step down       filter; /!PATTERN the others
esc, q           one step back       /-l QUERY by labels
d                describe          0        all namespaces
y                YAML              1-9      a namespace looked at before
l                logs              n        the namespaces
p                previous logs     C, M     by CPU, by memory
s                shell             A, N     by age, by name; again: reversed
e                edit              ctrl-r   list again
ctrl-d           delete, asks      :q, ctrl-c   quit

In a log: s or G follows its end, g goes to its beginning.";

impl App {
    pub(super) fn new(context: Arc<Context>, def: &'static ResourceDef, namespace: &str) -> App {
        let mut view = View::objects(def, namespace);
        view.open(&context);
        let mut app = App {
            context,
            views: vec![view],
            prompt: None,
            confirmation: None,
            message: None,
            namespaces: Vec::new(),
            namespace: String::new(),
        };
        app.set_namespace(namespace);
        app
    }

    pub(super) fn view(&mut self) -> &mut View {
        self.views.last_mut().expect("there is always a view")
    }

    fn set_namespace(&mut self, namespace: &str) {
        namespace.clone_into(&mut self.namespace);
        if !namespace.is_empty() && !self.namespaces.iter().any(|known| known == namespace) {
            self.namespaces.insert(0, namespace.to_owned());
            self.namespaces.truncate(NAMESPACES_MAX);
        }
    }

    pub(super) fn take(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Push(view) => self.push(view),
            Outcome::Root(view) => self.root(view),
            Outcome::Said(text) => self.message = Some((text, false)),
        }
    }

    fn push(&mut self, mut view: View) {
        if let Source::Objects { namespace, .. } = &view.source
            && !namespace.is_empty()
        {
            let namespace = namespace.clone();
            self.set_namespace(&namespace);
        }
        self.view().close();
        view.open(&self.context);
        self.views.push(view);
        if self.views.len() > VIEWS_MAX {
            self.views.remove(0);
        }
    }

    fn root(&mut self, mut view: View) {
        if let Source::Objects { def, namespace, .. } = &view.source
            && def.namespaced()
        {
            let namespace = namespace.clone();
            self.set_namespace(&namespace);
        }
        view.open(&self.context);
        self.views = vec![view];
    }

    /// After something else had the terminal, or when the user asks for it.
    pub(super) fn reopen(&mut self) {
        let context = self.context.clone();
        self.view().open(&context);
    }

    pub(super) fn suspend(&mut self) {
        self.view().close();
    }

    pub(super) fn key(&mut self, key: Key) -> Action {
        self.message = None;
        if key == Key::Control('c') {
            return Action::Quit;
        }
        if self.confirmation.is_some() {
            return self.confirm(key);
        }
        match self.prompt.take() {
            Some(Prompt::Command(text)) => self.command_key(text, key),
            Some(Prompt::Filter(text)) => self.filter_key(text, key),
            None => self.view_key(key),
        }
    }

    fn confirm(&mut self, key: Key) -> Action {
        let Some(confirmation) = &mut self.confirmation else { return Action::Nothing };
        match key {
            Key::Tab | Key::Left | Key::Right => confirmation.yes = !confirmation.yes,
            Key::Char('y' | 'Y') => confirmation.yes = true,
            Key::Enter | Key::Escape | Key::Char('n' | 'N' | 'q') => {
                let wanted = key == Key::Enter && confirmation.yes;
                let target = self.confirmation.take().map(|confirmation| confirmation.target);
                if let Some(target) = target.filter(|_| wanted) {
                    return Action::Ask(Request::Delete(target));
                }
                self.message = Some(("nothing was deleted".to_owned(), false));
            }
            _ => {}
        }
        Action::Nothing
    }

    fn command_key(&mut self, mut text: String, key: Key) -> Action {
        match typed(&mut text, key) {
            Typed::More => self.prompt = Some(Prompt::Command(text)),
            Typed::Dropped => {}
            Typed::Done => return self.command(&text),
        }
        Action::Nothing
    }

    fn command(&mut self, text: &str) -> Action {
        let mut words = text.split_whitespace();
        let (Some(word), namespace) = (words.next(), words.next()) else { return Action::Nothing };
        match word {
            "q" | "quit" | "exit" => Action::Quit,
            "h" | "help" => self.view_key(Key::Char('?')),
            word => {
                let namespace = match namespace {
                    Some("all") => String::new(),
                    Some(namespace) => namespace.to_owned(),
                    None => self.namespace.clone(),
                };
                Action::Ask(Request::Switch { word: word.to_owned(), namespace })
            }
        }
    }

    fn filter_key(&mut self, mut text: String, key: Key) -> Action {
        match typed(&mut text, key) {
            Typed::More => {
                if Filter::labels(&text).is_none() {
                    self.view().set_filter(&text);
                }
                self.prompt = Some(Prompt::Filter(text));
            }
            Typed::Dropped => self.view().set_filter(""),
            Typed::Done => self.filter(&text),
        }
        Action::Nothing
    }

    /// A label query is the server's to answer.
    fn filter(&mut self, text: &str) {
        let Some(labels) = Filter::labels(text) else { return self.view().set_filter(text) };
        let Source::Objects { def, namespace, selection } = &self.view().source else { return };
        let (def, namespace, mut selection) = (*def, namespace.clone(), selection.clone());
        let of = format!("{labels:?}");
        labels.clone_into(&mut selection.labels);
        self.push(View::selected(def, &namespace, selection, None, &of));
    }

    fn view_key(&mut self, key: Key) -> Action {
        match key {
            Key::Char(':') => self.prompt = Some(Prompt::Command(String::new())),
            Key::Char('/') => self.prompt = Some(Prompt::Filter(String::new())),
            Key::Char('?') => self.push(View::text("help".to_owned(), HELP)),
            Key::Char('n') => self.root(View::objects(&Namespace::DEF, "")),
            Key::Char(digit @ '0'..='9') => self.digit(digit),
            Key::Control('r') => self.reopen(),
            Key::Escape if !self.view().filter().is_empty() => self.view().set_filter(""),
            Key::Escape | Key::Char('q') => return self.back(key),
            key if matches!(self.view().body, Body::Text(_)) => self.text_key(key),
            key => return self.table_key(key),
        }
        Action::Nothing
    }

    fn back(&mut self, key: Key) -> Action {
        if self.views.len() == 1 {
            return if key == Key::Char('q') { Action::Quit } else { Action::Nothing };
        }
        self.views.pop();
        self.reopen();
        Action::Nothing
    }

    fn digit(&mut self, digit: char) {
        let place = digit.to_digit(10).unwrap_or_default() as usize;
        let namespace = match place.checked_sub(1) {
            None => String::new(),
            Some(place) => match self.namespaces.get(place) {
                Some(namespace) => namespace.clone(),
                None => return,
            },
        };
        let def = match self.views.first().map(|view| &view.source) {
            Some(Source::Objects { def, .. }) if def.namespaced() => *def,
            _ => &Pod::DEF,
        };
        self.root(View::objects(def, &namespace));
    }

    fn text_key(&mut self, key: Key) {
        let Body::Text(text) = &mut self.view().body else { return };
        match key {
            Key::Up | Key::Char('k') => text.scroll(-1),
            Key::Down | Key::Char('j') => text.scroll(1),
            Key::PageUp | Key::Control('b') => text.page(-1),
            Key::PageDown | Key::Control('f') | Key::Char(' ') => text.page(1),
            Key::Home | Key::Char('g') => text.go_to_start(),
            Key::End | Key::Char('G') => {
                text.go_to_end();
                self.follow(true);
            }
            Key::Char('s') => {
                let follows = text.follows;
                self.follow(!follows);
            }
            _ => {}
        }
    }

    /// Only a log has an end that moves.
    fn follow(&mut self, follows: bool) {
        let view = self.view();
        if let (Source::Log { .. }, Body::Text(text)) = (&view.source, &mut view.body) {
            text.follows = follows;
        }
    }

    fn table_key(&mut self, key: Key) -> Action {
        const PAGE: usize = 15;
        let Body::Table(table) = &mut self.view().body else { return Action::Nothing };
        match key {
            Key::Up | Key::Char('k') => table.go(|line, _| line.saturating_sub(1)),
            Key::Down | Key::Char('j') => table.go(|line, _| line + 1),
            Key::PageUp | Key::Control('b') => table.go(|line, _| line.saturating_sub(PAGE)),
            Key::PageDown | Key::Control('f') | Key::Char(' ') => table.go(|line, _| line + PAGE),
            Key::Home | Key::Char('g') => table.go(|_, _| 0),
            Key::End | Key::Char('G') => table.go(|_, last| last),
            Key::Char('C') => table.sort(Order::Cpu),
            Key::Char('M') => table.sort(Order::Memory),
            Key::Char('A') => table.sort(Order::Age),
            Key::Char('N') => table.sort(Order::Name),
            key => {
                let Some(row) = table.chosen() else { return Action::Nothing };
                return self.row_key(key, &row);
            }
        }
        Action::Nothing
    }

    fn row_key(&mut self, key: Key, row: &LiveRow) -> Action {
        match self.view().source.clone() {
            Source::Objects { def, .. } => {
                let target = Target { def, namespace: row.namespace.clone(), name: row.name.clone() };
                self.object_key(key, target, &row.uid)
            }
            Source::Containers { pod } => self.container_key(key, pod, &row.name),
            Source::Log { .. } | Source::Text => Action::Nothing,
        }
    }

    fn object_key(&mut self, key: Key, target: Target, uid: &str) -> Action {
        match key {
            Key::Enter => Action::Ask(Request::Descend { target, uid: uid.to_owned() }),
            Key::Char('d') => Action::Ask(Request::Describe(target)),
            Key::Char('y') => Action::Ask(Request::Yaml(target)),
            Key::Char('l') => Action::Ask(Request::Log { target, previous: false }),
            Key::Char('p') => Action::Ask(Request::Log { target, previous: true }),
            Key::Char('e') => Action::Run(edit(&target)),
            Key::Char('s') if target.def.group_resource() == Pod::DEF.group_resource() => {
                Action::Run(shell(&target, None))
            }
            Key::Char('s') => {
                self.message = Some(("a shell runs in a pod or a container".to_owned(), true));
                Action::Nothing
            }
            Key::Control('d') => {
                self.confirmation = Some(Confirmation { target, yes: false });
                Action::Nothing
            }
            _ => Action::Nothing,
        }
    }

    fn container_key(&mut self, key: Key, pod: Target, container: &str) -> Action {
        match key {
            Key::Enter | Key::Char('l') => self.push(View::log(pod, container.to_owned(), false)),
            Key::Char('p') => self.push(View::log(pod, container.to_owned(), true)),
            Key::Char('s') => return Action::Run(shell(&pod, Some(container))),
            Key::Char('d') => return Action::Ask(Request::Describe(pod)),
            Key::Char('y') => return Action::Ask(Request::Yaml(pod)),
            Key::Char('e') => return Action::Run(edit(&pod)),
            _ => {}
        }
        Action::Nothing
    }
}

enum Typed {
    More,
    Done,
    Dropped,
}

/// A key while a line is typed.
fn typed(text: &mut String, key: Key) -> Typed {
    const CHARACTERS_MAX: usize = 256;
    match key {
        Key::Enter => return Typed::Done,
        Key::Escape => return Typed::Dropped,
        Key::Backspace if text.is_empty() => return Typed::Dropped,
        Key::Backspace => {
            text.pop();
        }
        Key::Control('u') => text.clear(),
        Key::Char(character) if text.chars().count() < CHARACTERS_MAX => text.push(character),
        _ => {}
    }
    Typed::More
}

fn edit(target: &Target) -> Vec<String> {
    std::iter::once("edit".to_owned()).chain(words(target)).collect()
}

fn shell(pod: &Target, container: Option<&str>) -> Vec<String> {
    let mut line: Vec<String> = ["exec", "--stdin", "--tty"].map(str::to_owned).into();
    line.extend(words(pod));
    line.extend(container.map(|container| format!("--container={container}")));
    line.extend(["--".to_owned(), "sh".to_owned()]);
    line
}
