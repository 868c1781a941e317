// Code generated via abigen V2 - DO NOT EDIT.
// This file is a generated binding and any manual changes will be lost.

//lint:file-ignore ST1005 generated

package binding

import (
	"bytes"
	"errors"
	"math/big"

	"conclave/chain/payout/binding/bind"
	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// Reference imports to suppress errors if they are not otherwise used.
var (
	_ = bytes.Equal
	_ = errors.New
	_ = big.NewInt
	_ = common.Big1
	_ = types.BloomLookup
	_ = abi.ConvertType
)

// BatchPayoutMetaData contains all meta data concerning the BatchPayout contract.
var BatchPayoutMetaData = bind.MetaData{
	ABI: "[{\"inputs\":[],\"name\":\"AlreadyDone\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"BadLength\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"ClaimFailed\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"NotReceived\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"NothingOwed\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"Overdrawn\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"Reentered\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"TooLittleGas\",\"type\":\"error\"},{\"inputs\":[],\"name\":\"WrongValue\",\"type\":\"error\"},{\"inputs\":[{\"internalType\":\"uint256\",\"name\":\"index\",\"type\":\"uint256\"}],\"name\":\"ZeroRecipient\",\"type\":\"error\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"token\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"amount\",\"type\":\"uint256\"}],\"name\":\"Claimed\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"bytes32\",\"name\":\"batchId\",\"type\":\"bytes32\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"index\",\"type\":\"uint256\"}],\"name\":\"Failed\",\"type\":\"event\"},{\"anonymous\":false,\"inputs\":[{\"indexed\":true,\"internalType\":\"address\",\"name\":\"payer\",\"type\":\"address\"},{\"indexed\":true,\"internalType\":\"bytes32\",\"name\":\"batchId\",\"type\":\"bytes32\"},{\"indexed\":false,\"internalType\":\"address\",\"name\":\"token\",\"type\":\"address\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"total\",\"type\":\"uint256\"},{\"indexed\":false,\"internalType\":\"uint256\",\"name\":\"failed\",\"type\":\"uint256\"}],\"name\":\"Paid\",\"type\":\"event\"},{\"inputs\":[],\"name\":\"MAX_ITEMS\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"NATIVE_GAS\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[],\"name\":\"TOKEN_GAS\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"token\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"}],\"name\":\"claim\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"payer\",\"type\":\"address\"},{\"internalType\":\"bytes32\",\"name\":\"batchId\",\"type\":\"bytes32\"}],\"name\":\"done\",\"outputs\":[{\"internalType\":\"bool\",\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"address\",\"name\":\"token\",\"type\":\"address\"},{\"internalType\":\"address\",\"name\":\"to\",\"type\":\"address\"}],\"name\":\"owed\",\"outputs\":[{\"internalType\":\"uint256\",\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"batchId\",\"type\":\"bytes32\"},{\"internalType\":\"address[]\",\"name\":\"recipients\",\"type\":\"address[]\"},{\"internalType\":\"uint256[]\",\"name\":\"amounts\",\"type\":\"uint256[]\"}],\"name\":\"pay\",\"outputs\":[],\"stateMutability\":\"payable\",\"type\":\"function\"},{\"inputs\":[{\"internalType\":\"bytes32\",\"name\":\"batchId\",\"type\":\"bytes32\"},{\"internalType\":\"address\",\"name\":\"token\",\"type\":\"address\"},{\"internalType\":\"address[]\",\"name\":\"recipients\",\"type\":\"address[]\"},{\"internalType\":\"uint256[]\",\"name\":\"amounts\",\"type\":\"uint256[]\"}],\"name\":\"payToken\",\"outputs\":[],\"stateMutability\":\"nonpayable\",\"type\":\"function\"}]",
	ID:  "BatchPayout",
	Bin: "0x60808060405234601a576001600255610e7190816100208239f35b600080fdfe6080604052600436101561001257600080fd5b60003560e01c806313ee4bc5146109b057806321c0b342146107c257806328079e4a146107325780634a697c85146106ba57806357d4c4ee146106805780639b91d3f8146100f0578063a54316c6146100b55763d634f0201461007457600080fd5b346100b05760007ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc3601126100b057602060405162014c088152f35b600080fd5b346100b05760007ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc3601126100b057602060405161c3508152f35b346100b05760807ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc3601126100b05760043561012a610c02565b60443567ffffffffffffffff81116100b05761014a903690600401610bae565b909160643567ffffffffffffffff81116100b05761016c903690600401610bae565b9160028054146106565760028055610185838588610d31565b6040517f23b872dd0000000000000000000000000000000000000000000000000000000060208201523360248201526000604482015260006064820152606481526101d1608482610cc1565b73ffffffffffffffffffffffffffffffffffffffff821695604051937f70a082310000000000000000000000000000000000000000000000000000000085523360048601526020856024818b5afa94851561033f57600095610622575b5060009560009760005b8181106104a2575050505050848061034b575b5050506040517f70a08231000000000000000000000000000000000000000000000000000000008152336004820152602081602481885afa801561033f578390600090610309575b61029d9250610c85565b106102df57604051928352602083015260408201527f10fa550e6cee394dcb546ce24d453ae92dabb7bcc15a4c80b6cd40394f11d51f60603392a36001600255005b7fd97a3ee80000000000000000000000000000000000000000000000000000000060005260046000fd5b50506020813d602011610337575b8161032460209383610cc1565b810103126100b0578261029d9151610293565b3d9150610317565b6040513d6000823e3d90fd5b306044830152606482015290604051907f70a082310000000000000000000000000000000000000000000000000000000082523060048301526020826024818a5afa91821561033f5760009261046c575b506103a991925a91610e1a565b1561040c576040517f70a08231000000000000000000000000000000000000000000000000000000008152306004820152602081602481895afa90811561033f578590600092610436575b506103ff9192610c85565b1161040c5785808461024b565b7fafb0fe020000000000000000000000000000000000000000000000000000000060005260046000fd5b9150506020813d602011610464575b8161045260209383610cc1565b810103126100b05751846103ff6103f4565b3d9150610445565b91506020823d60201161049a575b8161048760209383610cc1565b810103126100b0576103a991519161039c565b3d915061047a565b6104b56104b0828488610c25565b610c64565b986104c1828587610c25565b359073ffffffffffffffffffffffffffffffffffffffff8b16156105f45762019f6d5a106105ca578c6104f68f928490610c85565b73ffffffffffffffffffffffffffffffffffffffff8d1660448b015260648a018490529b898051602091600091908301828f62014c08f16000516001143d601f10163d1517161561054e575b50505050600101610238565b917fe64040c2a394fc50904b208b60495abbcf56a8eff89806cada4162c27dd5f6436020869f939660406001986105c0989760009182528a855273ffffffffffffffffffffffffffffffffffffffff838320911682528452206105b2878254610c85565b9055604051908152a2610c85565b99908c8c8f610542565b7f5dd42bb60000000000000000000000000000000000000000000000000000000060005260046000fd5b827fef28bd440000000000000000000000000000000000000000000000000000000060005260045260246000fd5b9094506020813d60201161064e575b8161063e60209383610cc1565b810103126100b05751938961022e565b3d9150610631565b7fb5dfd9e50000000000000000000000000000000000000000000000000000000060005260046000fd5b346100b05760007ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc3601126100b057602060405160968152f35b346100b05760407ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc3601126100b05773ffffffffffffffffffffffffffffffffffffffff610706610bdf565b1660005260006020526040600020602435600052602052602060ff604060002054166040519015158152f35b346100b05760407ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc3601126100b057610769610bdf565b73ffffffffffffffffffffffffffffffffffffffff610786610c02565b9116600052600160205273ffffffffffffffffffffffffffffffffffffffff604060002091166000526020526020604060002054604051908152f35b346100b05760407ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc3601126100b0576107f9610bdf565b610801610c02565b6002805414610656576002805573ffffffffffffffffffffffffffffffffffffffff821690816000526001602052604060002073ffffffffffffffffffffffffffffffffffffffff821660005260205260406000205492831561098657826000526001602052604060002073ffffffffffffffffffffffffffffffffffffffff831660005260205260006040812055821560001461091c5750600080808086855af15b156108f257602073ffffffffffffffffffffffffffffffffffffffff7ff7a40077ff7a04c7e61f6f26fb13774259ddf1b6bce9ecf26a8276cdd3992683926040519586521693a36001600255005b7f360e42e10000000000000000000000000000000000000000000000000000000060005260046000fd5b610981906040517fa9059cbb00000000000000000000000000000000000000000000000000000000602082015273ffffffffffffffffffffffffffffffffffffffff841660248201528560448201526044815261097a606482610cc1565b5a91610e1a565b6108a4565b7f797dba540000000000000000000000000000000000000000000000000000000060005260046000fd5b60607ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc3601126100b05760043560243567ffffffffffffffff81116100b0576109fd903690600401610bae565b9060443567ffffffffffffffff81116100b057610a1e903690600401610bae565b919060028054146106565760028055610a38838587610d31565b349260009460005b818110610ab857878787610a8e57604051906000825234602083015260408201527f10fa550e6cee394dcb546ce24d453ae92dabb7bcc15a4c80b6cd40394f11d51f60603392a36001600255005b7f98d4901c0000000000000000000000000000000000000000000000000000000060005260046000fd5b610ac66104b0828488610c25565b95610ad2828587610c25565b359073ffffffffffffffffffffffffffffffffffffffff8816156105f457808211610a8e57620114895a106105ca57819003966000808080858561c350f115610b20575b5050600101610a40565b73ffffffffffffffffffffffffffffffffffffffff1660009081527fa6eef7e35abe7026729641147f7915573c7e97b47efa546f5f6e3230263bcb496020526040902080549298600193909190610b78908490610c85565b9055897fe64040c2a394fc50904b208b60495abbcf56a8eff89806cada4162c27dd5f64360206040518c8152a201969089610b16565b9181601f840112156100b05782359167ffffffffffffffff83116100b0576020808501948460051b0101116100b057565b6004359073ffffffffffffffffffffffffffffffffffffffff821682036100b057565b6024359073ffffffffffffffffffffffffffffffffffffffff821682036100b057565b9190811015610c355760051b0190565b7f4e487b7100000000000000000000000000000000000000000000000000000000600052603260045260246000fd5b3573ffffffffffffffffffffffffffffffffffffffff811681036100b05790565b91908201809211610c9257565b7f4e487b7100000000000000000000000000000000000000000000000000000000600052601160045260246000fd5b90601f7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0910116810190811067ffffffffffffffff821117610d0257604052565b7f4e487b7100000000000000000000000000000000000000000000000000000000600052604160045260246000fd5b918115918215610e0f575b8215610e04575b5050610dda5733600052600060205260406000208160005260205260ff60406000205416610db057336000526000602052604060002090600052602052604060002060017fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff00825416179055565b7fbdb902100000000000000000000000000000000000000000000000000000000060005260046000fd5b7f5aed9cff0000000000000000000000000000000000000000000000000000000060005260046000fd5b141590503880610d43565b609681119250610d3c565b9060209260008093858451940192f1600160005114601f3d11163d1517169056fea2646970667358221220b552421a9b78a6a7b8544bc188c1339f29a5a3ea1b61ff77f867ebf3f842226f64736f6c63430008250033",
}

// BatchPayout is an auto generated Go binding around an Ethereum contract.
type BatchPayout struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *BatchPayout) GetABI() abi.ABI {
	return c.abi
}

// NewBatchPayout creates a new instance of BatchPayout.
func NewBatchPayout() *BatchPayout {
	parsed, err := BatchPayoutMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &BatchPayout{abi: *parsed}
}

// PackMAXITEMS is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x57d4c4ee.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function MAX_ITEMS() view returns(uint256)
func (batchPayout *BatchPayout) PackMAXITEMS() []byte {
	enc, err := batchPayout.abi.Pack("MAX_ITEMS")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackMAXITEMS is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x57d4c4ee.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function MAX_ITEMS() view returns(uint256)
func (batchPayout *BatchPayout) TryPackMAXITEMS() ([]byte, error) {
	return batchPayout.abi.Pack("MAX_ITEMS")
}

// UnpackMAXITEMS is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x57d4c4ee.
//
// Solidity: function MAX_ITEMS() view returns(uint256)
func (batchPayout *BatchPayout) UnpackMAXITEMS(data []byte) (*big.Int, error) {
	out, err := batchPayout.abi.Unpack("MAX_ITEMS", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackNATIVEGAS is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa54316c6.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function NATIVE_GAS() view returns(uint256)
func (batchPayout *BatchPayout) PackNATIVEGAS() []byte {
	enc, err := batchPayout.abi.Pack("NATIVE_GAS")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackNATIVEGAS is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa54316c6.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function NATIVE_GAS() view returns(uint256)
func (batchPayout *BatchPayout) TryPackNATIVEGAS() ([]byte, error) {
	return batchPayout.abi.Pack("NATIVE_GAS")
}

// UnpackNATIVEGAS is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xa54316c6.
//
// Solidity: function NATIVE_GAS() view returns(uint256)
func (batchPayout *BatchPayout) UnpackNATIVEGAS(data []byte) (*big.Int, error) {
	out, err := batchPayout.abi.Unpack("NATIVE_GAS", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackTOKENGAS is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd634f020.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function TOKEN_GAS() view returns(uint256)
func (batchPayout *BatchPayout) PackTOKENGAS() []byte {
	enc, err := batchPayout.abi.Pack("TOKEN_GAS")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackTOKENGAS is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xd634f020.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function TOKEN_GAS() view returns(uint256)
func (batchPayout *BatchPayout) TryPackTOKENGAS() ([]byte, error) {
	return batchPayout.abi.Pack("TOKEN_GAS")
}

// UnpackTOKENGAS is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xd634f020.
//
// Solidity: function TOKEN_GAS() view returns(uint256)
func (batchPayout *BatchPayout) UnpackTOKENGAS(data []byte) (*big.Int, error) {
	out, err := batchPayout.abi.Unpack("TOKEN_GAS", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackClaim is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x21c0b342.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function claim(address token, address to) returns()
func (batchPayout *BatchPayout) PackClaim(token common.Address, to common.Address) []byte {
	enc, err := batchPayout.abi.Pack("claim", token, to)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackClaim is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x21c0b342.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function claim(address token, address to) returns()
func (batchPayout *BatchPayout) TryPackClaim(token common.Address, to common.Address) ([]byte, error) {
	return batchPayout.abi.Pack("claim", token, to)
}

// PackDone is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4a697c85.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function done(address payer, bytes32 batchId) view returns(bool)
func (batchPayout *BatchPayout) PackDone(payer common.Address, batchId [32]byte) []byte {
	enc, err := batchPayout.abi.Pack("done", payer, batchId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDone is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4a697c85.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function done(address payer, bytes32 batchId) view returns(bool)
func (batchPayout *BatchPayout) TryPackDone(payer common.Address, batchId [32]byte) ([]byte, error) {
	return batchPayout.abi.Pack("done", payer, batchId)
}

// UnpackDone is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x4a697c85.
//
// Solidity: function done(address payer, bytes32 batchId) view returns(bool)
func (batchPayout *BatchPayout) UnpackDone(data []byte) (bool, error) {
	out, err := batchPayout.abi.Unpack("done", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackOwed is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x28079e4a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function owed(address token, address to) view returns(uint256)
func (batchPayout *BatchPayout) PackOwed(token common.Address, to common.Address) []byte {
	enc, err := batchPayout.abi.Pack("owed", token, to)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackOwed is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x28079e4a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function owed(address token, address to) view returns(uint256)
func (batchPayout *BatchPayout) TryPackOwed(token common.Address, to common.Address) ([]byte, error) {
	return batchPayout.abi.Pack("owed", token, to)
}

// UnpackOwed is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x28079e4a.
//
// Solidity: function owed(address token, address to) view returns(uint256)
func (batchPayout *BatchPayout) UnpackOwed(data []byte) (*big.Int, error) {
	out, err := batchPayout.abi.Unpack("owed", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackPay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x13ee4bc5.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function pay(bytes32 batchId, address[] recipients, uint256[] amounts) payable returns()
func (batchPayout *BatchPayout) PackPay(batchId [32]byte, recipients []common.Address, amounts []*big.Int) []byte {
	enc, err := batchPayout.abi.Pack("pay", batchId, recipients, amounts)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackPay is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x13ee4bc5.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function pay(bytes32 batchId, address[] recipients, uint256[] amounts) payable returns()
func (batchPayout *BatchPayout) TryPackPay(batchId [32]byte, recipients []common.Address, amounts []*big.Int) ([]byte, error) {
	return batchPayout.abi.Pack("pay", batchId, recipients, amounts)
}

// PackPayToken is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9b91d3f8.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function payToken(bytes32 batchId, address token, address[] recipients, uint256[] amounts) returns()
func (batchPayout *BatchPayout) PackPayToken(batchId [32]byte, token common.Address, recipients []common.Address, amounts []*big.Int) []byte {
	enc, err := batchPayout.abi.Pack("payToken", batchId, token, recipients, amounts)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackPayToken is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9b91d3f8.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function payToken(bytes32 batchId, address token, address[] recipients, uint256[] amounts) returns()
func (batchPayout *BatchPayout) TryPackPayToken(batchId [32]byte, token common.Address, recipients []common.Address, amounts []*big.Int) ([]byte, error) {
	return batchPayout.abi.Pack("payToken", batchId, token, recipients, amounts)
}

// BatchPayoutClaimed represents a Claimed event raised by the BatchPayout contract.
type BatchPayoutClaimed struct {
	Token  common.Address
	To     common.Address
	Amount *big.Int
	Raw    *types.Log // Blockchain specific contextual infos
}

const BatchPayoutClaimedEventName = "Claimed"

// ContractEventName returns the user-defined event name.
func (BatchPayoutClaimed) ContractEventName() string {
	return BatchPayoutClaimedEventName
}

// UnpackClaimedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Claimed(address indexed token, address indexed to, uint256 amount)
func (batchPayout *BatchPayout) UnpackClaimedEvent(log *types.Log) (*BatchPayoutClaimed, error) {
	event := "Claimed"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != batchPayout.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BatchPayoutClaimed)
	if len(log.Data) > 0 {
		if err := batchPayout.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range batchPayout.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// BatchPayoutFailed represents a Failed event raised by the BatchPayout contract.
type BatchPayoutFailed struct {
	BatchId [32]byte
	Index   *big.Int
	Raw     *types.Log // Blockchain specific contextual infos
}

const BatchPayoutFailedEventName = "Failed"

// ContractEventName returns the user-defined event name.
func (BatchPayoutFailed) ContractEventName() string {
	return BatchPayoutFailedEventName
}

// UnpackFailedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Failed(bytes32 indexed batchId, uint256 index)
func (batchPayout *BatchPayout) UnpackFailedEvent(log *types.Log) (*BatchPayoutFailed, error) {
	event := "Failed"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != batchPayout.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BatchPayoutFailed)
	if len(log.Data) > 0 {
		if err := batchPayout.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range batchPayout.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// BatchPayoutPaid represents a Paid event raised by the BatchPayout contract.
type BatchPayoutPaid struct {
	Payer   common.Address
	BatchId [32]byte
	Token   common.Address
	Total   *big.Int
	Failed  *big.Int
	Raw     *types.Log // Blockchain specific contextual infos
}

const BatchPayoutPaidEventName = "Paid"

// ContractEventName returns the user-defined event name.
func (BatchPayoutPaid) ContractEventName() string {
	return BatchPayoutPaidEventName
}

// UnpackPaidEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Paid(address indexed payer, bytes32 indexed batchId, address token, uint256 total, uint256 failed)
func (batchPayout *BatchPayout) UnpackPaidEvent(log *types.Log) (*BatchPayoutPaid, error) {
	event := "Paid"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != batchPayout.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(BatchPayoutPaid)
	if len(log.Data) > 0 {
		if err := batchPayout.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range batchPayout.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// UnpackError attempts to decode the provided error data using user-defined
// error definitions.
func (batchPayout *BatchPayout) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], batchPayout.abi.Errors["AlreadyDone"].ID.Bytes()[:4]) {
		return batchPayout.UnpackAlreadyDoneError(raw[4:])
	}
	if bytes.Equal(raw[:4], batchPayout.abi.Errors["BadLength"].ID.Bytes()[:4]) {
		return batchPayout.UnpackBadLengthError(raw[4:])
	}
	if bytes.Equal(raw[:4], batchPayout.abi.Errors["ClaimFailed"].ID.Bytes()[:4]) {
		return batchPayout.UnpackClaimFailedError(raw[4:])
	}
	if bytes.Equal(raw[:4], batchPayout.abi.Errors["NotReceived"].ID.Bytes()[:4]) {
		return batchPayout.UnpackNotReceivedError(raw[4:])
	}
	if bytes.Equal(raw[:4], batchPayout.abi.Errors["NothingOwed"].ID.Bytes()[:4]) {
		return batchPayout.UnpackNothingOwedError(raw[4:])
	}
	if bytes.Equal(raw[:4], batchPayout.abi.Errors["Overdrawn"].ID.Bytes()[:4]) {
		return batchPayout.UnpackOverdrawnError(raw[4:])
	}
	if bytes.Equal(raw[:4], batchPayout.abi.Errors["Reentered"].ID.Bytes()[:4]) {
		return batchPayout.UnpackReenteredError(raw[4:])
	}
	if bytes.Equal(raw[:4], batchPayout.abi.Errors["TooLittleGas"].ID.Bytes()[:4]) {
		return batchPayout.UnpackTooLittleGasError(raw[4:])
	}
	if bytes.Equal(raw[:4], batchPayout.abi.Errors["WrongValue"].ID.Bytes()[:4]) {
		return batchPayout.UnpackWrongValueError(raw[4:])
	}
	if bytes.Equal(raw[:4], batchPayout.abi.Errors["ZeroRecipient"].ID.Bytes()[:4]) {
		return batchPayout.UnpackZeroRecipientError(raw[4:])
	}
	return nil, errors.New("Unknown error")
}

// BatchPayoutAlreadyDone represents a AlreadyDone error raised by the BatchPayout contract.
type BatchPayoutAlreadyDone struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AlreadyDone()
func BatchPayoutAlreadyDoneErrorID() common.Hash {
	return common.HexToHash("0xbdb90210f52d8f68ab9dd7668196c96250dc1b15d2e106baa5a9ac4ab6ea0b0a")
}

// UnpackAlreadyDoneError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AlreadyDone()
func (batchPayout *BatchPayout) UnpackAlreadyDoneError(raw []byte) (*BatchPayoutAlreadyDone, error) {
	out := new(BatchPayoutAlreadyDone)
	if err := batchPayout.abi.UnpackIntoInterface(out, "AlreadyDone", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BatchPayoutBadLength represents a BadLength error raised by the BatchPayout contract.
type BatchPayoutBadLength struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error BadLength()
func BatchPayoutBadLengthErrorID() common.Hash {
	return common.HexToHash("0x5aed9cffb2924f3600794abbbf4f1b8e28b5057f1d71da9a1fd2d3a6d6b7aa32")
}

// UnpackBadLengthError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error BadLength()
func (batchPayout *BatchPayout) UnpackBadLengthError(raw []byte) (*BatchPayoutBadLength, error) {
	out := new(BatchPayoutBadLength)
	if err := batchPayout.abi.UnpackIntoInterface(out, "BadLength", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BatchPayoutClaimFailed represents a ClaimFailed error raised by the BatchPayout contract.
type BatchPayoutClaimFailed struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ClaimFailed()
func BatchPayoutClaimFailedErrorID() common.Hash {
	return common.HexToHash("0x360e42e1f08ffcb982db0ac343cd36987ebe288c978d7cbd4456b642802ec05b")
}

// UnpackClaimFailedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ClaimFailed()
func (batchPayout *BatchPayout) UnpackClaimFailedError(raw []byte) (*BatchPayoutClaimFailed, error) {
	out := new(BatchPayoutClaimFailed)
	if err := batchPayout.abi.UnpackIntoInterface(out, "ClaimFailed", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BatchPayoutNotReceived represents a NotReceived error raised by the BatchPayout contract.
type BatchPayoutNotReceived struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error NotReceived()
func BatchPayoutNotReceivedErrorID() common.Hash {
	return common.HexToHash("0xafb0fe02df59100433373093b373e2691356794a07237955e0e335f8b91800e9")
}

// UnpackNotReceivedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error NotReceived()
func (batchPayout *BatchPayout) UnpackNotReceivedError(raw []byte) (*BatchPayoutNotReceived, error) {
	out := new(BatchPayoutNotReceived)
	if err := batchPayout.abi.UnpackIntoInterface(out, "NotReceived", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BatchPayoutNothingOwed represents a NothingOwed error raised by the BatchPayout contract.
type BatchPayoutNothingOwed struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error NothingOwed()
func BatchPayoutNothingOwedErrorID() common.Hash {
	return common.HexToHash("0x797dba544d72fb0dfb4c7610346de0274cf6d4e8b1d64dc398abc9027c89eff2")
}

// UnpackNothingOwedError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error NothingOwed()
func (batchPayout *BatchPayout) UnpackNothingOwedError(raw []byte) (*BatchPayoutNothingOwed, error) {
	out := new(BatchPayoutNothingOwed)
	if err := batchPayout.abi.UnpackIntoInterface(out, "NothingOwed", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BatchPayoutOverdrawn represents a Overdrawn error raised by the BatchPayout contract.
type BatchPayoutOverdrawn struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Overdrawn()
func BatchPayoutOverdrawnErrorID() common.Hash {
	return common.HexToHash("0xd97a3ee8f6bff24d9ce377c3227003981aedb438825c2a27d4d4135c792683f4")
}

// UnpackOverdrawnError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Overdrawn()
func (batchPayout *BatchPayout) UnpackOverdrawnError(raw []byte) (*BatchPayoutOverdrawn, error) {
	out := new(BatchPayoutOverdrawn)
	if err := batchPayout.abi.UnpackIntoInterface(out, "Overdrawn", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BatchPayoutReentered represents a Reentered error raised by the BatchPayout contract.
type BatchPayoutReentered struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error Reentered()
func BatchPayoutReenteredErrorID() common.Hash {
	return common.HexToHash("0xb5dfd9e53a10d4d747ca3de749b98baf23546e800cbacdb1dbc28233e586d1ee")
}

// UnpackReenteredError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error Reentered()
func (batchPayout *BatchPayout) UnpackReenteredError(raw []byte) (*BatchPayoutReentered, error) {
	out := new(BatchPayoutReentered)
	if err := batchPayout.abi.UnpackIntoInterface(out, "Reentered", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BatchPayoutTooLittleGas represents a TooLittleGas error raised by the BatchPayout contract.
type BatchPayoutTooLittleGas struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error TooLittleGas()
func BatchPayoutTooLittleGasErrorID() common.Hash {
	return common.HexToHash("0x5dd42bb600374752ec882c5cc10522a55f1659aecd3d4b7f69bda1d572e0426a")
}

// UnpackTooLittleGasError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error TooLittleGas()
func (batchPayout *BatchPayout) UnpackTooLittleGasError(raw []byte) (*BatchPayoutTooLittleGas, error) {
	out := new(BatchPayoutTooLittleGas)
	if err := batchPayout.abi.UnpackIntoInterface(out, "TooLittleGas", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BatchPayoutWrongValue represents a WrongValue error raised by the BatchPayout contract.
type BatchPayoutWrongValue struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error WrongValue()
func BatchPayoutWrongValueErrorID() common.Hash {
	return common.HexToHash("0x98d4901c0f97ff4fb4b12f6efe3f7d66c362a06e0786d79de1d138f816754bcd")
}

// UnpackWrongValueError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error WrongValue()
func (batchPayout *BatchPayout) UnpackWrongValueError(raw []byte) (*BatchPayoutWrongValue, error) {
	out := new(BatchPayoutWrongValue)
	if err := batchPayout.abi.UnpackIntoInterface(out, "WrongValue", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// BatchPayoutZeroRecipient represents a ZeroRecipient error raised by the BatchPayout contract.
type BatchPayoutZeroRecipient struct {
	Index *big.Int
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ZeroRecipient(uint256 index)
func BatchPayoutZeroRecipientErrorID() common.Hash {
	return common.HexToHash("0xef28bd4472d862453a203882e2d1c77a7b568cee55dc3116b16089c480975536")
}

// UnpackZeroRecipientError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ZeroRecipient(uint256 index)
func (batchPayout *BatchPayout) UnpackZeroRecipientError(raw []byte) (*BatchPayoutZeroRecipient, error) {
	out := new(BatchPayoutZeroRecipient)
	if err := batchPayout.abi.UnpackIntoInterface(out, "ZeroRecipient", raw); err != nil {
		return nil, err
	}
	return out, nil
}
