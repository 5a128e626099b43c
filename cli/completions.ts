// vouch completions: a script for the shell, made from the commands as they are.
import type { Command } from 'commander';

/** A command's place in the tree ("credential aws"), and what can follow it. */
interface Place {
  readonly path: string;
  readonly commands: readonly string[];
  readonly options: readonly string[];
}

/** What can follow an option, by its name; other options take anything. */
export type Choices = Readonly<Record<string, readonly string[]>>;

export const COMPLETED_SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;
export type CompletedShell = (typeof COMPLETED_SHELLS)[number];

export function isCompletedShell(name: string): name is CompletedShell {
  return (COMPLETED_SHELLS as readonly string[]).includes(name);
}

/** Renders the script for one shell. It asks nobody: pressing Tab starts no process of vouch. */
export function renderCompletions(program: Command, shell: CompletedShell, choices: Choices): string {
  return RENDERERS[shell](listPlaces(program), choices);
}

const RENDERERS: Readonly<Record<CompletedShell, (places: readonly Place[], choices: Choices) => string>> = {
  bash: (places, choices) => `${renderFunction(places, choices, '"${COMP_WORDS[@]:1:COMP_CWORD-1}"', '${COMP_WORDS[COMP_CWORD-1]}', 'COMPREPLY=($(compgen -W "$offered" -- "${COMP_WORDS[COMP_CWORD]}"))')}
complete -o default -F _vouch vouch`,
  zsh: (places, choices) => `#compdef vouch
${renderFunction(places, choices, '"${words_before[@]}"', '${words_before[-1]}', 'compadd -- ${=offered}', 'local -a words_before=("${(@)words[2,CURRENT-1]}")\n  local offered\n  (( CURRENT > 1 )) || return 0')}
compdef _vouch vouch`,
  fish: renderFish,
  powershell: renderPowershell,
};

function listPlaces(program: Command, parent = ''): readonly Place[] {
  const commands = program.commands.map((command) => command.name());
  const options = [...program.options.flatMap(({ long }) => long ?? []), '--help'];
  return [{ path: parent, commands, options }, ...program.commands.flatMap((command) => listPlaces(command, `${parent} ${command.name()}`.trim()))];
}

/** Bash and zsh share a body: walk the words that are commands, then offer what can follow. After -- comes a foreign command. */
function renderFunction(places: readonly Place[], choices: Choices, before: string, previous: string, offer: string, preparation = 'local offered'): string {
  const groups = places.filter(({ commands }) => commands.length > 0).map(({ path, commands }) => `      ${commands.map((name) => `"${path}|${name}"`).join('|')}) place="\${place:+$place }$word" ;;`);
  const words = places.map(({ path, commands, options }) => `    "${path}") offered="${[...commands, ...options].join(' ')}" ;;`);
  const values = Object.entries(choices).map(([option, all]) => `    ${option}) offered="${all.join(' ')}" ;;`);
  return `_vouch() {
  ${preparation}
  local place="" word
  for word in ${before}; do
    [[ "$word" == "--" ]] && return 0
    case "$place|$word" in
${groups.join('\n')}
    esac
  done
  case "$place" in
${words.join('\n')}
  esac
  case "${previous}" in
${values.join('\n')}
  esac
  ${offer}
}`;
}

function renderFish(places: readonly Place[], choices: Choices): string {
  const seen = (path: string): string => {
    const names = path.split(' ').filter((name) => name !== '');
    const none = places.find((place) => place.path === path)?.commands ?? [];
    const tests = [...names.map((name) => `__fish_seen_subcommand_from ${name}`), ...(none.length === 0 ? [] : [`not __fish_seen_subcommand_from ${none.join(' ')}`])];
    return tests.length === 0 ? '' : ` -n '${tests.join('; and ')}'`;
  };
  const lines = places.flatMap(({ path, commands, options }) => [
    ...(commands.length === 0 ? [] : [`complete -c vouch -f${seen(path)} -a '${commands.join(' ')}'`]),
    ...options.map((option) => `complete -c vouch${seen(path)} -l ${option.slice(2)}${choices[option] === undefined ? '' : ` -x -a '${choices[option].join(' ')}'`}`),
  ]);
  return lines.join('\n');
}

function renderPowershell(places: readonly Place[], choices: Choices): string {
  const list = (words: readonly string[]): string => `@(${words.map((word) => `'${word}'`).join(', ')})`;
  return `Register-ArgumentCompleter -Native -CommandName vouch -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $places = @{
${places.map(({ path, commands, options }) => `    '${path}' = ${list([...commands, ...options])}`).join('\n')}
  }
  $choices = @{
${Object.entries(choices).map(([option, all]) => `    '${option}' = ${list(all)}`).join('\n')}
  }
  $place = ''
  $previous = ''
  foreach ($element in $commandAst.CommandElements | Select-Object -Skip 1) {
    $word = $element.ToString()
    if ($element.Extent.EndOffset -ge $cursorPosition) { break }
    if ($word -eq '--') { return }
    $next = "$place $word".Trim()
    if ($places.ContainsKey($next)) { $place = $next }
    $previous = $word
  }
  $words = if ($choices.ContainsKey($previous)) { $choices[$previous] } else { $places[$place] }
  $words | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) }
}`;
}
