// Writes the Grafana dashboards of the operator's chart from the tables below.
//
//     node scripts/dashboards.ts
//
// A test keeps them current, and runs every query against a real Prometheus (test/seeing/).

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const folder = join(import.meta.dirname, '..', 'charts/journal-operator/monitoring');

/** A query and how its lines are called. */
type Query = readonly [expression: string, legend: string];

interface Panel {
  readonly title: string;
  readonly about: string;
  readonly unit: string;
  /** One number of now instead of lines over time. */
  readonly stat?: boolean;
  readonly queries: readonly Query[];
}

interface Variable {
  readonly name: string;
  readonly query: string;
}

export interface Dashboard {
  readonly file: string;
  readonly uid: string;
  readonly title: string;
  readonly variables: readonly Variable[];
  readonly panels: readonly Panel[];
}

const OF = 'namespace="$namespace", journal_dev_cluster="$cluster"';

const rate = (metric: string, labels = ''): string =>
  `rate(${metric}{${OF}${labels === '' ? '' : `, ${labels}`}}[$__rate_interval])`;

const panel = (title: string, unit: string, about: string, ...queries: Query[]): Panel => ({
  title,
  unit,
  about,
  queries,
});

const stat = (title: string, unit: string, about: string, expression: string): Panel => ({
  title,
  unit,
  about,
  stat: true,
  queries: [[expression, '']],
});

const cluster: Dashboard = {
  file: 'dashboard-cluster.json',
  uid: 'journal-cluster',
  title: 'Journal: cluster',
  variables: [
    { name: 'namespace', query: 'label_values(journal_replica_loop_delay_seconds, namespace)' },
    {
      name: 'cluster',
      query:
        'label_values(journal_replica_loop_delay_seconds{namespace="$namespace"}, ' +
        'journal_dev_cluster)',
    },
  ],
  panels: [
    stat(
      'Journals that take appends',
      'percentunit',
      'Of all journals, as the controllers see them.',
      `avg(max by (journal) (journal_writable{${OF}}))`,
    ),
    stat(
      'Processes that answer',
      'percentunit',
      'Replicas and controllers, of those that should.',
      `sum(max by (kind) (journal_processes_answering{${OF}})) / ` +
        `sum(max by (kind) (journal_processes_known{${OF}}))`,
    ),
    stat(
      'Members that chains lack',
      'short',
      'Over all journals; 0 when all are whole.',
      `sum(max by (journal) (journal_chain_members_wanted{${OF}}) - ` +
        `max by (journal) (journal_chain_members{${OF}}))`,
    ),
    stat(
      'Least free volume',
      'percentunit',
      'Of the volumes of all replicas.',
      `min(journal_replica_volume_bytes{${OF}, what="free"} / ignoring (what) ` +
        `sum without (what) (journal_replica_volume_bytes{${OF}}))`,
    ),
    panel(
      'Records',
      'ops',
      'Appended at heads, and read or delivered.',
      [`sum(${rate('journal_replica_records_total', 'direction="in"')})`, 'appended'],
      [`sum(${rate('journal_replica_records_total', 'direction="out"')})`, 'read'],
    ),
    panel(
      'Bytes',
      'Bps',
      'Of records, appended at heads and read or delivered.',
      [`sum(${rate('journal_replica_bytes_total', 'direction="in"')})`, 'appended'],
      [`sum(${rate('journal_replica_bytes_total', 'direction="out"')})`, 'read'],
    ),
    panel(
      'Append latency by stage, p99',
      's',
      'At heads: docs/operations.md explains each stage.',
      [
        'histogram_quantile(0.99, sum by (stage, le) ' +
          `(${rate('journal_replica_append_seconds_bucket')}))`,
        '{{stage}}',
      ],
    ),
    panel('Append latency by stage, median', 's', 'At heads.', [
      'histogram_quantile(0.5, sum by (stage, le) ' +
        `(${rate('journal_replica_append_seconds_bucket')}))`,
      '{{stage}}',
    ]),
    panel('Syncs of the volume', 's', 'How long the disk of each replica takes.', [
      'histogram_quantile(0.99, sum by (instance, le) ' +
        `(${rate('journal_replica_sync_seconds_bucket')}))`,
      'p99 {{instance}}',
    ]),
    panel(
      'Positions behind the longest log',
      'short',
      'Each replica, over the journals of which it is a member.',
      [`max by (instance) (journal:replication_lag:records{${OF}})`, '{{instance}}'],
    ),
    panel('Reconfigurations decided, in an hour', 'short', 'By cause.', [
      `sum by (cause) (increase(journal_reconfigurations_total{${OF}}[1h]))`,
      '{{cause}}',
    ]),
    panel('Epochs', 'short', 'A step is a reconfiguration of a journal.', [
      `max by (journal) (journal_epoch{${OF}})`,
      '{{journal}}',
    ]),
    panel('Appends refused', 'ops', 'By code; docs/api.md explains each.', [
      `sum by (code) (${rate('journal_replica_refused_total')})`,
      '{{code}}',
    ]),
    panel(
      'Subscriptions',
      'short',
      'Open ones, and how far the slowest is behind.',
      [`sum(journal_replica_subscriptions{${OF}})`, 'open'],
      [`max(journal_replica_subscriber_lag_records{${OF}})`, 'records behind'],
    ),
    panel('Bytes by journal', 'bytes', 'On the volume that has most of it.', [
      `max by (journal) (journal_replica_journal_bytes{${OF}})`,
      '{{journal}}',
    ]),
    panel('Free bytes', 'bytes', 'Of each volume.', [
      `sum by (instance) (journal_replica_volume_bytes{${OF}, what="free"})`,
      '{{instance}}',
    ]),
    panel(
      'Lateness of event loops',
      's',
      'Worst of a second in replicas, p99 in controllers: too little CPU, or a pause.',
      [`max by (instance) (journal_replica_loop_delay_seconds{${OF}})`, '{{instance}}'],
      [
        'histogram_quantile(0.99, sum by (instance, le) ' +
          `(${rate('journal_controller_loop_late_seconds_bucket')}))`,
        '{{instance}}',
      ],
    ),
    panel('Requests that wait', 'short', 'Beyond their bound they are refused with OVERLOADED.', [
      `sum by (instance) (journal_replica_queue_requests{${OF}})`,
      '{{instance}}',
    ]),
    panel('Changes of registers, p99', 's', 'One Paxos round and its retries.', [
      `histogram_quantile(0.99, sum by (le) (${rate('journal_register_change_seconds_bucket')}))`,
      'change',
    ]),
    panel('Damage', 'short', 'Ranges that did not match their checksum, since the start.', [
      `sum by (outcome) (journal_replica_damage_total{${OF}})`,
      '{{outcome}}',
    ]),
  ],
};

const operator: Dashboard = {
  file: 'dashboard-operator.json',
  uid: 'journal-operator',
  title: 'Journal: operator',
  variables: [],
  panels: [
    stat(
      'Clusters',
      'short',
      'JournalClusters that the operator knows.',
      'count(max by (namespace, cluster) (journal_cluster_info)) or vector(0)',
    ),
    stat(
      'Ready',
      'short',
      'Of those.',
      'sum(max by (namespace, cluster) (journal_cluster_condition{condition="Ready", ' +
        'status="True"})) or vector(0)',
    ),
    stat('Operators that lead', 'short', 'One, or none.', 'sum(journal_operator_leader)'),
    stat('Clusters that wait', 'short', 'To be looked at.', 'max(journal_operator_queue_length)'),
    panel('Clusters by mode', 'short', 'chain, hibernated, suspended, and what is in between.', [
      'count by (mode) (max by (namespace, cluster, mode) (journal_cluster_info))',
      '{{mode}}',
    ]),
    panel('Conditions', 'short', 'Clusters by condition that is not as it should be.', [
      'count by (condition, status) (max by (namespace, cluster, condition, status) (' +
        'journal_cluster_condition{condition=~"Ready|CertificatesValid", status="False"} or ' +
        'journal_cluster_condition{condition=~"Stalled|Degraded|Progressing", status="True"}' +
        ')) or vector(0)',
      '{{condition}} {{status}}',
    ]),
    panel('Requests to the API server', 'ops', 'By method; those about its Lease apart.', [
      'sum by (method, what) (rate(journal_operator_api_requests_total[$__rate_interval]))',
      '{{method}} {{what}}',
    ]),
    panel('Passes', 'ops', 'Over clusters, by result.', [
      'sum by (result) (rate(journal_operator_reconcile_total[$__rate_interval]))',
      '{{result}}',
    ]),
    panel(
      'How long a pass takes',
      's',
      'Median and p99.',
      [
        'histogram_quantile(0.5, sum by (le) ' +
          '(rate(journal_operator_reconcile_seconds_bucket[$__rate_interval])))',
        'median',
      ],
      [
        'histogram_quantile(0.99, sum by (le) ' +
          '(rate(journal_operator_reconcile_seconds_bucket[$__rate_interval])))',
        'p99',
      ],
    ),
    panel('Memory', 'bytes', 'Of the operator.', [
      'process_resident_memory_bytes and on (instance) journal_operator_leader',
      '{{instance}}',
    ]),
    panel('CPU', 'percentunit', 'Of one core.', [
      'rate(process_cpu_seconds_total[$__rate_interval]) and on (instance) journal_operator_leader',
      '{{instance}}',
    ]),
    panel('Lateness of the event loop', 's', 'Of the operator, p99.', [
      'nodejs_eventloop_lag_p99_seconds and on (instance) journal_operator_leader',
      '{{instance}}',
    ]),
  ],
};

export const dashboards: readonly Dashboard[] = [cluster, operator];

const SOURCE = { type: 'prometheus', uid: '$datasource' } as const;
const WIDTH = 24;
const STAT = { w: 6, h: 4 } as const;
const LINES = { w: 8, h: 8 } as const;

/** As Grafana 10 and later import it. */
export function dashboardJson(dashboard: Dashboard): string {
  const datasource = {
    name: 'datasource',
    type: 'datasource',
    query: 'prometheus',
    label: 'source',
  };
  const variables = dashboard.variables.map(({ name, query }) => ({
    name,
    type: 'query',
    datasource: SOURCE,
    query: { query, refId: name },
    definition: query,
    refresh: 2,
    sort: 1,
  }));
  const whole = {
    uid: dashboard.uid,
    title: dashboard.title,
    tags: ['journal'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    templating: { list: [datasource, ...variables] },
    panels: placed(dashboard.panels),
  };
  return `${JSON.stringify(whole, null, 2)}\n`;
}

/** Row by row from the left: numbers first, then lines. */
function placed(panels: readonly Panel[]): readonly object[] {
  let x = 0;
  let y = 0;
  let height = 0;
  return panels.map((one, index) => {
    const { w, h } = one.stat === true ? STAT : LINES;
    if (x + w > WIDTH || (height !== 0 && height !== h)) {
      x = 0;
      y += height;
    }
    height = h;
    const gridPos = { x, y, w, h };
    x += w;
    return drawn(one, index + 1, gridPos);
  });
}

function drawn({ title, about, unit, stat: one, queries }: Panel, id: number, gridPos: object) {
  return {
    id,
    type: one === true ? 'stat' : 'timeseries',
    title,
    description: about,
    datasource: SOURCE,
    gridPos,
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    options:
      one === true
        ? { reduceOptions: { calcs: ['lastNotNull'] } }
        : { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi' } },
    targets: queries.map(([expr, legendFormat], index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: SOURCE,
      expr,
      ...(one === true ? { instant: true } : { legendFormat, range: true }),
    })),
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const dashboard of dashboards) {
    writeFileSync(join(folder, dashboard.file), dashboardJson(dashboard));
  }
}
