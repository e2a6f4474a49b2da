// Shell completion, made from the command tree itself, so that it never lags behind it.

import type { Command } from 'commander';
import { command } from './options.ts';
import { Output, UsageError } from './output.ts';

/** What can follow one path of words. */
interface Node {
  /** Words after `journal`, joined by a space; empty for the tool itself. */
  readonly path: string;
  readonly about: string;
  readonly commands: readonly { readonly name: string; readonly about: string }[];
  readonly options: readonly CompletedOption[];
}

interface CompletedOption {
  readonly flag: string;
  readonly about: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

const SHELLS = ['bash', 'zsh', 'fish'] as const;

export function completionCommand(program: () => Command): Command {
  return command(
    'completion <shell>',
    'Prints the completion of a shell: bash, zsh or fish.',
    'journal completion bash > ~/.local/share/bash-completion/completions/journal',
    'journal completion zsh > ~/.zfunc/_journal',
    'journal completion fish > ~/.config/fish/completions/journal.fish',
  ).action(async (shell: string) => {
    const output = new Output();
    await output.write(completion(shell, program()));
    await output.flush();
  });
}

export function completion(shell: string, program: Command): string {
  const nodes = walk(program, '');
  switch (shell) {
    case 'bash':
      return bash(nodes);
    case 'zsh':
      return zsh(nodes);
    case 'fish':
      return fish(nodes);
    default:
      throw new UsageError(`shell is ${JSON.stringify(shell)}, allowed is ${SHELLS.join(', ')}`);
  }
}

function walk(at: Command, path: string): Node[] {
  const help = at.createHelp();
  const commands = help.visibleCommands(at);
  const options = help.visibleOptions(at).map(
    (option): CompletedOption => ({
      flag: option.long ?? option.short ?? '',
      about: option.description,
      takesValue: option.required || option.optional,
      choices: option.argChoices ?? [],
    }),
  );
  const node: Node = {
    path,
    about: at.description(),
    commands: commands.map((one) => ({ name: one.name(), about: one.description() })),
    options,
  };
  const below = commands
    .filter((one) => one.name() !== 'help')
    .flatMap((one) => walk(one, path === '' ? one.name() : `${path} ${one.name()}`));
  return [node, ...below];
}

const words = (node: Node): string =>
  [...node.commands.map(({ name }) => name), ...node.options.map(({ flag }) => flag)].join(' ');

function bash(nodes: readonly Node[]): string {
  const cases = nodes.map((node) => `    '${node.path}') words='${words(node)}' ;;`);
  const paths = nodes.map((node) => `'${node.path}'`).join('|');
  return `# bash completion of journal, made by: journal completion bash
_journal() {
  local current path='' word words=''
  COMPREPLY=()
  current=\${COMP_WORDS[COMP_CWORD]}
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
      ${paths}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ "\${#COMPREPLY[@]}" -eq 0 ]; then COMPREPLY=($(compgen -f -- "$current")); fi
}
complete -o filenames -F _journal journal
`;
}

const quoted = (text: string): string => text.replaceAll("'", "'\\''");
/** The first sentence, without what zsh reads as markup. */
const brief = (text: string): string =>
  quoted(text.split(/[.:;](?:\s|$)/)[0] ?? '').replace(/[[\]:]/g, ' ');

function zsh(nodes: readonly Node[]): string {
  const cases = nodes.map((node) => {
    const commands = node.commands.map(({ name, about }) => `      '${name}:${brief(about)}'`);
    const options = node.options.map((option) => {
      const value = option.takesValue ? `:value:(${option.choices.join(' ')})` : '';
      const files = option.takesValue && option.choices.length === 0 ? ':value:_files' : value;
      return `      '${option.flag}[${brief(option.about)}]${files}'`;
    });
    const list = commands.length === 0 ? '' : `\n    commands=(\n${commands.join('\n')}\n    )`;
    return `  '${node.path}')${list}\n    options=(\n${options.join('\n')}\n    )\n    ;;`;
  });
  const paths = nodes.map((node) => `'${node.path}'`).join('|');
  return `#compdef journal
# zsh completion of journal, made by: journal completion zsh
_journal() {
  local path_so_far='' word
  local -a commands options
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "\${path_so_far:+$path_so_far }$word" in
      ${paths}) path_so_far="\${path_so_far:+$path_so_far }$word" ;;
    esac
  done
  case "$path_so_far" in
${cases.join('\n')}
  esac
  if (( \${#commands} )); then _describe -t commands 'command' commands; fi
  _arguments "\${options[@]}" '*:file:_files'
}
if [ "$funcstack[1]" = "_journal" ]; then _journal "$@"; else compdef _journal journal; fi
`;
}

function fish(nodes: readonly Node[]): string {
  const lines = ['# fish completion of journal, made by: journal completion fish'];
  lines.push(
    'function __journal_path',
    '  set -l path ""',
    '  set -l tokens (commandline -opc)',
    '  for word in $tokens[2..-1]',
    '    set -l longer (string trim "$path $word")',
    `    if contains -- "$longer" ${nodes.map((node) => `'${node.path}'`).join(' ')}`,
    '      set path "$longer"',
    '    end',
    '  end',
    '  test "$path" = "$argv[1]"',
    'end',
  );
  for (const node of nodes) {
    const where = `complete -c journal -n "__journal_path '${node.path}'"`;
    for (const { name, about } of node.commands) {
      lines.push(`${where} -f -a '${name}' -d '${brief(about)}'`);
    }
    for (const option of node.options) {
      const value = option.takesValue ? ' -r' : '';
      const choices = option.choices.length > 0 ? ` -f -a '${option.choices.join(' ')}'` : '';
      const flag = option.flag.replace(/^--/, '-l ').replace(/^-(\w)$/, '-s $1');
      lines.push(`${where} ${flag} -d '${brief(option.about)}'${value}${choices}`);
    }
  }
  return `${lines.join('\n')}\n`;
}
