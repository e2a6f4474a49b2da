// The programs written in Go that tests and benchmarks start: in which module each is, how built.
//
// A module is a folder here with a go.mod and a go.sum of its own, which pin every version. There
// are several, since Kubernetes, etcd, CoreDNS, Helm and Prometheus ask for versions of their
// libraries that do not go together.

export interface Tool {
  /** Folder of the module. */
  readonly module: string;
  readonly package: string;
  /** Go variables set by the linker, where a program says its version from one. */
  readonly set: Readonly<Record<string, string>>;
  /** Build tags, with commas; none where left out. */
  readonly tags?: string;
}

const kubernetesVersion = {
  'k8s.io/component-base/version.gitVersion': 'v1.37.2',
  'k8s.io/component-base/version.gitMajor': '1',
  'k8s.io/component-base/version.gitMinor': '37',
};

const kubernetes = (name: string): [string, Tool] => [
  name,
  { module: 'kubernetes', package: `k8s.io/kubernetes/cmd/${name}`, set: kubernetesVersion },
];

/** Without finders of targets in clouds, which are nine tenths of it: ours are static. */
const prometheus = (name: string): [string, Tool] => [
  name,
  {
    module: 'prometheus',
    package: `github.com/prometheus/prometheus/cmd/${name}`,
    set: { 'github.com/prometheus/common/version.Version': '3.16.0' },
    tags: 'remove_all_sd',
  },
];

export const tools: ReadonlyMap<string, Tool> = new Map([
  kubernetes('kube-apiserver'),
  kubernetes('kube-controller-manager'),
  kubernetes('kube-scheduler'),
  kubernetes('kube-proxy'),
  kubernetes('kubelet'),
  kubernetes('kubectl'),
  ['etcd', { module: 'etcd', package: 'go.etcd.io/etcd/server/v3', set: {} }],
  ['etcdctl', { module: 'etcd', package: 'go.etcd.io/etcd/etcdctl/v3', set: {} }],
  ['coredns', { module: 'coredns', package: 'github.com/coredns/coredns', set: {} }],
  [
    'helm',
    {
      module: 'helm',
      package: 'helm.sh/helm/v4/cmd/helm',
      set: { 'helm.sh/helm/v4/internal/version.version': 'v4.3.1' },
    },
  ],
  prometheus('prometheus'),
  prometheus('promtool'),
  ['porcupine', { module: 'porcupine', package: 'journal.dev/tools/porcupine', set: {} }],
  ['pause', { module: 'pause', package: 'journal.dev/tools/pause', set: {} }],
]);
