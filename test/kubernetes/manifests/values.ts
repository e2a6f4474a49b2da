// Values of fields: those that nothing made from them could have, and odd ones that are right.

import type { Spec } from '../cases/cluster.ts';
import { backup, pods, REQUIRED, storage } from './wrong.ts';

interface Values {
  readonly field: string;
  readonly specOf: (value: unknown) => Spec;
  readonly says: RegExp;
  readonly values: readonly unknown[];
}

const requests = (name: string) => (value: unknown) =>
  pods({ resources: { requests: { [name]: value }, limits: { [name]: value } } });
const nodes = (one: Spec): Spec => {
  const terms = { nodeSelectorTerms: [{ matchExpressions: [one] }] };
  return pods({ affinity: { nodeAffinity: { [REQUIRED]: terms } } });
};
const near = (term: Spec): Spec =>
  pods({ affinity: { podAffinity: { [REQUIRED]: [{ topologyKey: 'a', ...term }] } } });
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
    field: 'length of an image',
    specOf: (image) => ({ storage, image }),
    says: /spec\.image: .*HOST and PATH of image have at most 255 characters/,
    values: ['a'.repeat(256), `a.b/${'c'.repeat(252)}:1@sha256:${'0'.repeat(64)}`],
  },
  {
    field: 'size that nobody has',
    specOf: (size) => ({ storage: { size }, controllers: { storage } }),
    says: /spec\.storage\.size: .*size is at most 1Pi/,
    values: ['9999999999999999Pi', '1025Ti', '1.1Pi', '2000000000000000000000'],
  },
  {
    field: 'size of controllers that nobody has',
    specOf: (size) => ({ storage, controllers: { storage: { size } } }),
    says: /spec\.controllers\.storage\.size: .*size is at most 1Pi/,
    values: ['9999999999999999Pi'],
  },
  {
    field: 'number of a label of nodes',
    specOf: (one) => nodes({ key: 'a', operator: one === '' ? 'Lt' : 'Gt', values: [`${one}`] }),
    says: /matchExpressions\[0\]\.values: .*Gt and Lt have a whole number/,
    values: ['x', '1.5', '9'.repeat(19), ''],
  },
  {
    field: 'key of the pod itself, twice',
    specOf: (matchLabelKeys) => near({ matchLabelKeys, labelSelector: {} }),
    says: /podAffinity\.required[A-Za-z]+\[0\]\.matchLabelKeys\[1\]: Duplicate value: "b"/,
    values: [['b', 'b']],
  },
  {
    field: 'key of the pod itself and of the selector',
    specOf: (labelSelector) => near({ matchLabelKeys: ['b'], labelSelector }),
    says: /podAffinity\.req[A-Za-z]+\[0\]\.matchLabelKeys: .*none of these is in labelSelector/,
    values: [{ matchLabels: { b: 'c' } }, { matchExpressions: [{ key: 'b', operator: 'Exists' }] }],
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
    values: ['500m', '1.5', '1Ki', '9'.repeat(16)],
  },
  {
    field: 'size of huge pages',
    specOf: (size) => {
      const both = { cpu: 1, 'hugepages-2Mi': size };
      return pods({ resources: { requests: both, limits: both } });
    },
    says: /resources\.limits: .*values of hugepages-SIZE are multiples of SIZE/,
    values: ['3Mi', 1, '500m', '1e30'],
  },
  {
    field: 'annotation that the API server judges',
    specOf: (name) => pods({ annotations: { [String(name)]: 'localhost/x' } }),
    says: /podTemplate\.annotations: .*AppArmor and kubernetes\.io\/config\.mirror are for no pod/,
    values: [
      'container.apparmor.security.beta.kubernetes.io/replica',
      'container.seccomp.security.alpha.kubernetes.io/replica',
      ...['seccomp.security.alpha.kubernetes.io/pod', 'kubernetes.io/config.mirror'],
    ],
  },
  {
    field: 'length of annotations',
    specOf: (length) => pods({ annotations: { a: 'b', c: 'd'.repeat(Number(length)) } }),
    says: /podTemplate\.annotations: .*have at most 32768 characters in all/,
    values: [32_766],
  },
  ...[
    ...['gold', 'a b/c', 'a/b/c', 'hugepages-', 'kubernetes.io/x', 'requests.x/y'],
    `${'a'.repeat(245)}/b`,
  ].map((name) => ({
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
  { storage: { size: '1Pi' }, controllers: { storage: { size: '1024Ti' } } },
  nodes({ key: 'a', operator: 'Gt', values: ['0'] }),
  near({
    matchLabelKeys: ['a', 'b'],
    mismatchLabelKeys: ['c', 'd'],
    labelSelector: {
      matchLabels: { e: 'f', d: 'g' },
      matchExpressions: [{ key: 'c', operator: 'Exists' }],
    },
  }),
  { storage, image: `${'a'.repeat(255)}:${'b'.repeat(128)}` },
  {
    storage,
    podTemplate: {
      labels: { 'example.com/Team_1': '' },
      annotations: { 'seccomp.security.alpha.kubernetes.io/pod': 'runtime/default' },
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
  pods({ annotations: { a: 'b'.repeat(32_767) } }),
  requests(`${'a'.repeat(244)}/b`)('9'.repeat(15)),
  ...['a', 'localhost/a:1', 'Host:5000/a-b/c__d.e_f:Tag-1.x', '[::1]:5000/a', 'a.b/c@sha256:'].map(
    (image) => ({ storage, image: image.endsWith(':') ? `${image}${'0a'.repeat(32)}` : image }),
  ),
];
