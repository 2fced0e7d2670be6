// CodeMirror as the UI uses it: YAML, the theme's colours, what is wrong underlined, names of fields completed.

import { autocompletion, closeBrackets, completionKeymap, type CompletionSource } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { yaml } from '@codemirror/lang-yaml';
import { HighlightStyle, bracketMatching, foldGutter, indentUnit, syntaxHighlighting } from '@codemirror/language';
import { linter, lintGutter } from '@codemirror/lint';
import { unifiedMergeView } from '@codemirror/merge';
import { search, searchKeymap } from '@codemirror/search';
import { EditorState, type Extension } from '@codemirror/state';
import { EditorView, drawSelection, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { t } from './i18n.svelte';
import { styleNonce } from './nonce';
import { fromYaml } from './yaml';

const LOOK = EditorView.theme({
  '&': { height: '100%', fontSize: '13px', backgroundColor: 'var(--surface)', color: 'var(--text)' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.5' },
  '.cm-content': { caretColor: 'var(--accent)' },
  '.cm-cursor': { borderLeftColor: 'var(--accent)' },
  '.cm-gutters': { backgroundColor: 'var(--surface)', color: 'var(--faint)', border: 'none' },
  '.cm-activeLine': { backgroundColor: 'color-mix(in srgb, var(--sunken) 60%, transparent)' },
  '&.cm-focused .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'var(--accent-soft) !important' },
  '.cm-tooltip': { backgroundColor: 'var(--raised)', border: '1px solid var(--line-strong)', color: 'var(--text)' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent-soft)', color: 'var(--text)' },
  '.cm-panels': { backgroundColor: 'var(--sunken)', color: 'var(--text)' },
  '.cm-changedLine': { backgroundColor: 'var(--good-soft) !important' },
  '.cm-deletedChunk': { backgroundColor: 'var(--bad-soft) !important' },
  // In place of a sign that few fonts have.
  '.cm-collapsedLines:before, .cm-collapsedLines:after': { content: '"⋯"' },
  '.cm-collapsedLines': { backgroundColor: 'var(--sunken)', backgroundImage: 'none', color: 'var(--soft)' },
});

const COLOURS = HighlightStyle.define([
  { tag: [tags.definition(tags.propertyName), tags.propertyName], color: 'var(--accent-text)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--text)' },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: 'var(--busy)' },
  { tag: [tags.comment, tags.meta], color: 'var(--faint)' },
]);

const wrong = linter((view) =>
  fromYaml(view.state.doc.toString()).errors.map(({ message, from, to }) => ({
    from: Math.min(from, view.state.doc.length),
    to: Math.min(Math.max(to, from), view.state.doc.length),
    severity: 'error' as const,
    message,
  })),
);

function base(label: string): Extension[] {
  const nonce = styleNonce();
  return [
    nonce ? EditorView.cspNonce.of(nonce) : [],
    lineNumbers(),
    foldGutter(),
    yaml(),
    syntaxHighlighting(COLOURS),
    LOOK,
    search(),
    keymap.of(searchKeymap),
    EditorView.contentAttributes.of({ 'aria-label': label, tabindex: '0' }),
  ];
}

export function editor(parent: HTMLElement, text: string, label: string, changed: (text: string) => void, complete?: CompletionSource): EditorView {
  return new EditorView({
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        base(label),
        history(),
        drawSelection(),
        highlightActiveLine(),
        bracketMatching(),
        closeBrackets(),
        indentUnit.of('  '),
        wrong,
        lintGutter(),
        autocompletion(complete ? { override: [complete] } : {}),
        // Tab indents; Escape first gives it back to the page, as WCAG asks.
        keymap.of([...completionKeymap, ...defaultKeymap, ...historyKeymap, indentWithTab]),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) changed(update.state.doc.toString());
        }),
      ],
    }),
  });
}

/** What a change would do: unchanged stretches folded away. */
export function difference(parent: HTMLElement, before: string, after: string, label: string): EditorView {
  const merged = unifiedMergeView({ original: before, mergeControls: false, collapseUnchanged: { margin: 3, minSize: 6 } });
  const extensions = [base(label), EditorState.readOnly.of(true), EditorView.editable.of(false), EditorState.phrases.of({ '$ unchanged lines': t('yaml.unchanged') }), merged];
  return new EditorView({ parent, state: EditorState.create({ doc: after, extensions }) });
}
