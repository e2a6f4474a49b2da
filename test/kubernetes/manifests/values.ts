// Values of fields: those that nothing made from them could have, and odd ones that are right.

import type { Spec } from '../cases/cluster.ts';
import { backup, pods, storage } from './wrong.ts';

interface Values {
  readonly field: string;
  readonly specOf: (value: unknown) => Spec;
  readonly says: RegExp;
  readonly values: readonly unknown[];
}

const requests = (name: string) => (value: unknown) =>
  pods({ resources: { requests: { [name]: value }, limits: { [name]: value } } });
const toleration = (one: unknown): Spec => pods({ tolerations: [one] });

/** One field each, and values that the objects made from it could not have. */
export const VALUES: readonly Values[] = [
  {
    field: 'image',
    specOf: (image) => ({ storage, image }),
    says: /spec\.image: .*image is \[HOST\[:PORT\]\/\]PATH/,
    values: ['Not An Image', 'a:b:c', 'foo/', 'Foo', 'a//b', 'x:', '/x', 'x@sha256:12', 'x/-y'],
  },
  {
    field: 'schedule',
    specOf: (schedule) => backup({ schedule }),
    says: /backup\.schedule: .*five fields of cron/,
    values: [
      ...['every night', '0 24 * * *', '0 3 * ABC *', '*/0 3 * * *', '* * * * 7', '@every 0h1m'],
      ...['* * * *', '*/99999999999999999999 * * * *', '@every 99999999999h', '1- * * * *'],
    ],
  },
  {
    field: 'range of a schedule',
    specOf: (schedule) => backup({ schedule }),
    says: /backup\.schedule: .*each range of schedule begins with the smaller one/,
    values: [
      ...['59-5 * * * *', '0 5-1 * * *', '0 3 * * 5-1', '0 3 * * FRI-mon', '0 3 * dec-jan *'],
      ...['0 3 * * sat-sun', '1-5,9-8/2 * * * *', '0 3 31-1 * *', '0 3 * MAR-2 *'],
    ],
  },
  {
    field: 'cpu',
    specOf: requests('cpu'),
    says: /resources\.requests\.cpu: Invalid value/,
    values: ['lots', '-1', '-5m', -1, '1e1.5', '1 m', ''],
  },
  {
    field: 'number of devices',
    specOf: requests('example.com/gpu'),
    says: /resources\.requests: .*values of DOMAIN\/NAME are whole numbers/,
    values: ['500m', '1.5', '1Ki'],
  },
  ...['gold', 'a b/c', 'a/b/c', 'hugepages-', 'kubernetes.io/x', 'requests.x/y'].map((name) => ({
    field: `name of a resource: ${name}`,
    specOf: requests(name),
    says: /resources\.requests: .*names are cpu, memory, ephemeral-storage/,
    values: [1],
  })),
  {
    field: 'request without its limit',
    specOf: (name) => pods({ resources: { requests: { [String(name)]: 1 } } }),
    says: /podTemplate\.resources: .*has the same limit/,
    values: ['example.com/gpu', 'hugepages-2Mi'],
  },
  {
    field: 'hugepages alone',
    specOf: requests('hugepages-2Mi'),
    says: /podTemplate\.resources: .*hugepages-SIZE needs cpu or memory/,
    values: ['4Mi'],
  },
  {
    field: 'value of a toleration',
    specOf: toleration,
    says: /tolerations\[0\]\.value: .*(where operator is Exists|Invalid value: "x y")/,
    values: [
      { key: 'a', operator: 'Exists', value: 'x' },
      { key: 'a', value: 'x y' },
    ],
  },
  {
    field: 'key of a toleration',
    specOf: toleration,
    says: /tolerations\[0\]\.key: .*(only where operator is Exists|Invalid value: "a b")/,
    values: [{}, { value: 'x' }, { operator: 'Equal', value: 'x' }, { key: 'a b', value: 'x' }],
  },
  {
    field: 'tolerationSeconds',
    specOf: toleration,
    says: /tolerations\[0\]\.tolerationSeconds: .*needs the effect NoExecute/,
    values: [
      { key: 'a', operator: 'Exists', tolerationSeconds: 1 },
      { key: 'a', operator: 'Exists', effect: 'NoSchedule', tolerationSeconds: 1 },
    ],
  },
  {
    field: 'name of a class',
    specOf: (className) => ({ storage: { ...storage, className } }),
    says: /spec\.storage\.className: Invalid value/,
    values: ['A b', 'a..b', 'a.-b', '-a'],
  },
];

/** All of them, as a CronJob takes them too. */
const SCHEDULES = [
  ...['*/15 0-6,22-23/2 1,15 jan-jun MON-FRI', '0 0 ? * Sun,wed', '0 3 * * *'],
  ...['5-5 07-8,0-6/2 1-31 jan-dec Sun-Sat', '@every 1h90m', '@every 720h'],
  ...['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'],
  '@every 6h30m',
];

/** What looks odd and is right. */
export const RIGHT: readonly Spec[] = [
  ...SCHEDULES.map((schedule) => backup({ schedule })),
  { storage, restore: { claimName: 'x', path: 'a', resources: { limits: { memory: '1Gi' } } } },
  { storage, networkPolicy: { clientNamespaces: ['*'] } },
  {
    storage,
    podTemplate: {
      labels: { 'example.com/Team_1': '' },
      resources: {
        requests: { memory: '1Gi', cpu: '.5', 'example.com/gpu': 1, 'hugepages-2Mi': '4Mi' },
        limits: { memory: 2e9, cpu: '1e1', 'example.com/gpu': '1', 'hugepages-2Mi': '4Mi' },
      },
      tolerations: [
        { operator: 'Exists' },
        { key: 'example.com/a', effect: 'NoExecute', tolerationSeconds: 0 },
        { key: 'a', operator: 'Exists', value: '', effect: 'NoExecute' },
      ],
    },
  },
  ...['a', 'localhost/a:1', 'Host:5000/a-b/c__d.e_f:Tag-1.x', '[::1]:5000/a', 'a.b/c@sha256:'].map(
    (image) => ({ storage, image: image.endsWith(':') ? `${image}${'0a'.repeat(32)}` : image }),
  ),
];
