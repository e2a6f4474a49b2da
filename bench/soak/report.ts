// What a soak leaves: its pauses in lines, and a page with throughput over time and the faults
// marked on it, gaps, what each checker looked at, verdict.

import { type Looked, sumOf } from '../../test/processes/load.ts';

export interface Sample {
  /** Seconds since the beginning. */
  readonly at: number;
  readonly appendsPerSecond: number;
}

export interface Suffered {
  readonly name: string;
  /** The process: a replica, or a controller. */
  readonly victim: string;
  readonly from: number;
  readonly until: number;
  /**
   * Longest time without an acknowledgement, from the fault until the chain was whole again; null
   * for one among others at a random moment, which promises none.
   */
  readonly gapMillis: number | null;
}

/** Full load without a fault. */
export interface CalmRun {
  readonly seconds: number;
  readonly records: number;
  readonly failed: number;
  readonly reconfigurations: number;
}

export interface SoakResult {
  readonly command: string;
  readonly seed: number;
  readonly seconds: number;
  readonly samples: readonly Sample[];
  readonly faults: readonly Suffered[];
  readonly calm: CalmRun | null;
  /** Plain appends that were acknowledged. */
  readonly appended: number;
  readonly looked: Looked;
  /** What the checkers, or the run itself, complain of. */
  readonly wrong: readonly string[];
}

const WIDTH = 1_000;
const HEIGHT = 240;
const LEFT = 50;
const COLOURS = [
  ...['#c0392b', '#d68910', '#1f618d', '#117a65', '#7d3c98', '#566573'],
  ...['#e8a39b', '#f0cf9a', '#9fc3dd', '#98cfc3', '#cbaedb', '#b7c0c8'],
];

const isController = ({ victim }: Suffered): boolean => victim.startsWith('controller-');

/** What faults are counted by: at a controller they are another matter than in the chain. */
const labelOf = (fault: Suffered): string =>
  isController(fault) ? `${fault.name}, at a controller` : fault.name;

const gapsOf = (faults: readonly Suffered[]): number[] =>
  faults.flatMap(({ gapMillis }) => gapMillis ?? []);

/** Longest pauses, those in the chain and those at controllers for themselves: a line each. */
export function pausesOf(faults: readonly Suffered[]): readonly string[] {
  const parts = [
    { where: 'in the chain', of: faults.filter((fault) => !isController(fault)) },
    { where: 'at controllers', of: faults.filter(isController) },
  ];
  return parts.flatMap(({ where, of }) => {
    const gaps = gapsOf(of);
    if (gaps.length === 0) return [];
    const names = new Set(of.map(({ name }) => name));
    const what = names.size === 1 ? `times ${[...names].join()} ${where}` : `faults ${where}`;
    const shown = [0.5, 0.99, 1].map((part) => quantile(gaps, part).toFixed(0)).join(', ');
    return [`longest pauses of ${gaps.length} ${what} in ms: median, p99, worst: ${shown}`];
  });
}

const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`);

/** The value below which the given part of the values lies; 0 of none. */
function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

function chart({ samples, faults, seconds }: SoakResult, colours: Map<string, string>): string {
  const most = Math.max(1, ...samples.map(({ appendsPerSecond }) => appendsPerSecond));
  const x = (at: number): string => (LEFT + (at / seconds) * (WIDTH - LEFT)).toFixed(1);
  const y = (value: number): string => (HEIGHT - (value / most) * HEIGHT).toFixed(1);
  const bars = faults.map((fault) => {
    const { name, victim, from, until, gapMillis } = fault;
    const width = Math.max(1.5, ((until - from) / seconds) * (WIDTH - LEFT)).toFixed(1);
    const gap = gapMillis === null ? 'among others' : `gap ${gapMillis.toFixed(0)} ms`;
    const title = `${name} at ${victim}, ${from.toFixed(1)} s, ${gap}`;
    const place = `x="${x(from)}" y="0" width="${width}" height="${HEIGHT}"`;
    const fill = `fill="${colours.get(labelOf(fault))}" fill-opacity="0.25"`;
    return `<rect ${place} ${fill}><title>${escaped(title)}</title></rect>`;
  });
  const points = samples.map((sample) => `${x(sample.at)},${y(sample.appendsPerSecond)}`);
  const line = `<polyline fill="none" stroke="#111" points="${points.join(' ')}"/>`;
  const labels =
    `<text x="0" y="12">${most.toFixed(0)}/s</text><text x="0" y="${HEIGHT}">0</text>` +
    `<text x="${WIDTH - 40}" y="${HEIGHT + 16}">${seconds.toFixed(0)} s</text>`;
  const box = `viewBox="0 0 ${WIDTH} ${HEIGHT + 20}"`;
  const drawn = `${bars.join('')}${line}${labels}`;
  return `<svg ${box} role="img" aria-label="appends a second">${drawn}</svg>`;
}

function gapRows({ faults }: SoakResult, colours: Map<string, string>): string {
  return [...colours]
    .map(([label, colour]) => {
      const gaps = gapsOf(faults.filter((one) => labelOf(one) === label));
      const cells = [gaps.length, quantile(gaps, 0.5), quantile(gaps, 0.99), Math.max(0, ...gaps)];
      const shown = cells.map((cell) => `<td>${cell.toFixed(0)}</td>`).join('');
      return `<tr><td style="color:${colour}">■ ${escaped(label)}</td>${shown}</tr>`;
    })
    .join('\n');
}

function lookedRows(looked: Looked): string {
  return Object.entries(looked)
    .map(([name, count]) => `<tr><td>${escaped(name)}</td><td>${count}</td></tr>`)
    .join('\n');
}

function calmText(calm: CalmRun | null): string {
  if (calm === null) return '';
  const rate = (calm.records / calm.seconds).toFixed(0);
  return `<p>${calm.seconds} s at full load without a fault: ${rate} records of 1 KiB a second,
${calm.failed} failed appends, ${calm.reconfigurations} reconfigurations.</p>`;
}

/** One file that needs nothing else. */
export function page(result: SoakResult): string {
  const labels = [...new Set(result.faults.map(labelOf))].sort();
  const colours = new Map(labels.map((one, at) => [one, COLOURS[at % COLOURS.length] ?? '#000']));
  const { wrong, appended, looked, seconds, seed, command } = result;
  const verdict =
    wrong.length === 0
      ? '<p class="good">Nothing acknowledged was lost or doubled; one order everywhere.</p>'
      : `<div class="bad"><p>${wrong.length} complaints:</p><ul>${wrong
          .map((one) => `<li>${escaped(one)}</li>`)
          .join('')}</ul></div>`;
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Journal soak</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 1040px; margin: 2em auto; padding: 0 1em }
  table { border-collapse: collapse } td, th { padding: 2px 12px; text-align: right }
  td:first-child, th:first-child { text-align: left }
  .good { color: #117a65 } .bad { color: #c0392b } svg { width: 100%; font-size: 12px }
</style>
<h1>Journal soak</h1>
${verdict}
<p>${appended} appends acknowledged, ${sumOf(looked)} checks, ${result.faults.length} faults in
${seconds.toFixed(0)} s. Seed ${seed}. <code>${escaped(command)}</code></p>
<h2>Appends a second, faults marked</h2>
${chart(result, colours)}
<h2>Longest pause of appends after each fault, in milliseconds</h2>
<table><tr><th>fault</th><th>times</th><th>median</th><th>p99</th><th>worst</th></tr>
${gapRows(result, colours)}
</table>
${calmText(result.calm)}
<h2>What each checker looked at</h2>
<table><tr><th>checker</th><th>looked at</th></tr>
${lookedRows(looked)}
</table>
</html>
`;
}
