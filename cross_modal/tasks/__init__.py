"""What can be learned: each task one file, none knows another."""

from cross_modal.tasks.alignment import Alignment as Alignment
from cross_modal.tasks.autoencoding import Autoencoding as Autoencoding
from cross_modal.tasks.classification import Classification as Classification
from cross_modal.tasks.generation import Generation as Generation
from cross_modal.tasks.question_answering import QuestionAnswering as QuestionAnswering
from cross_modal.tasks.task import Endpoint as Endpoint
from cross_modal.tasks.task import Task as Task
