"""Tasks by the name a config gives them: functions from a config's options to a task."""

TASKS: dict[str, str] = {
    'classify': 'visionlab.tasks.classify:classify',
    'clips': 'visionlab.tasks.clips:clips',
    'regress': 'visionlab.tasks.regress:regress',
    'segment': 'visionlab.tasks.segment:segment',
    'adapt': 'visionlab.tasks.adapt:adapt',
    'two_column': 'visionlab.tasks.two_column:two_column',
    'multitask': 'visionlab.tasks.multitask:multitask',
    'detect': 'visionlab.tasks.detect:detect',
    'reconstruct': 'visionlab.tasks.reconstruct:reconstruct',
    'generate': 'visionlab.tasks.generate:generate',
    'caption': 'visionlab.tasks.caption:caption',
    'invert': 'visionlab.tasks.invert:invert',
    'verify': 'visionlab.tasks.verify:verify',
    'pose': 'visionlab.tasks.pose:pose',
    'drive': 'visionlab.tasks.drive:drive',
    'align': 'visionlab.tasks.align:align',
    'skip_thoughts': 'visionlab.tasks.skip_thoughts:skip_thoughts',
    'quick_thoughts': 'visionlab.tasks.quick_thoughts:quick_thoughts',
    'match': 'visionlab.tasks.match:match',
}
